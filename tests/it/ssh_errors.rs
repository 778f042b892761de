//! What can be wrong with a host over ssh: each is told in words with the next step, and ends with the right code.
