/** Bytes in a public key (FIPS 204, table 2). Any bytes of this length are one: there are no weak encodings to refuse. */
export const ML_DSA_44_KEY_BYTES = 1312

/** Bytes in a signature (FIPS 204, table 2). */
export const ML_DSA_44_SIGNATURE_BYTES = 2420

/** Bytes in the seed of a private key (FIPS 204 section 5.1: xi). */
export const ML_DSA_44_SEED_BYTES = 32
