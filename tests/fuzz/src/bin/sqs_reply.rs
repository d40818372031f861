//! See `fuzz::sqs_reply`.

#![cfg_attr(fuzzing, no_main)]

fuzz::program!(fuzz::sqs_reply::check);
