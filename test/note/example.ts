/** The log and the witness of the worked examples: seeds 00 01 .. 1f and 20 .. 3f, leaves "L0" .. "L6". */
export const SEED = Uint8Array.from({ length: 32 }, (_, i) => i)
export const LOG_VKEY = 'log.example/demo+607616de+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4'
export const LOG_SKEY = 'PRIVATE+KEY+log.example/demo+607616de+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'
export const WITNESS_VKEY = 'witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X'
export const ROOT_7 = 'mgGvw6L2mDaOYUO4ESTDYkWZFs4W9iynuWkz/IYnNe0='
export const TEXT_7 = `log.example/demo\n7\n${ROOT_7}\n`
export const LOG_LINE =
  '— log.example/demo YHYW3hi+Wyodw3CqODdnwBy+52+lp3w0JuPAJLE13IvrN/h76RCkXgDQfl9TQ9VXvNzIs/kG22AYx2xAgkttk85kigU=\n'
export const WITNESS_LINE =
  '— witness.example/w1 IDJKvgAAAABoTuGAd29GerTDGrzxD5DJTnCY03kUd03qyzyPk2YfhAYwVsoT9na5JLQDf1OY7d1s6xj1R7sKHpEA/RjaR1kEQcsHDQ==\n'
export const CHECKPOINT_7 = `${TEXT_7}\n${LOG_LINE}${WITNESS_LINE}`
export const PROOF_5 = `c2sp.org/tlog-proof@v1
index 5
NZr/IegsvAOEgnpCagnR9FIdnN0bXYnc8R1C1UEQ6TM=
v2zf6TJGrJHQsNvwtS78OYzh9RS1JE1iMZN12V7lumw=
ERcMjUX0jrbsiavY3YtuB9FT215w+Ag4Qda7XgDz+fA=

${CHECKPOINT_7}`
