//! See `fuzz::reply`.

#![cfg_attr(fuzzing, no_main)]

fuzz::program!(fuzz::reply::check);
