//! See `fuzz::body`.

#![cfg_attr(fuzzing, no_main)]

fuzz::program!(fuzz::body::check);
