//! See `fuzz::event`.

#![cfg_attr(fuzzing, no_main)]

fuzz::program!(fuzz::event::check);
