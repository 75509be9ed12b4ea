// The one place that chooses an implementation of ML-DSA-44.
export { publicKey, signerOf, verifierOf } from '#mldsa44'
