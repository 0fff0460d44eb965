//! Leave to read is no leave to write.

use strongroom_core::{Password, Read};
use strongroom_engine::{Permit, WriteOptions};

async fn write(permit: Permit<Read>) {
    let _written = permit.write(Password::new("s3cr3t"), WriteOptions::new()).await; //~ E0599
}

fn main() {
    let _write = write;
}
