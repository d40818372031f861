//! See `fuzz::configuration`.

#![cfg_attr(fuzzing, no_main)]

fuzz::program!(fuzz::configuration::check);
