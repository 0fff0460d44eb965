//! Lines of the audit log.

use strongroom_audit::read_line;

/// A line is refused, or is exactly what the writer would make of what was read.
pub fn audit_line(data: &[u8]) {
    if let Ok(line) = read_line(data) {
        let mut again = Vec::new();
        line.encode(&mut again);
        assert_eq!(again, data);
        assert!(!data.contains(&b'\n'));
    }
}
