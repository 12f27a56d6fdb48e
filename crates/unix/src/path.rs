//! Short paths, without an allocation.

use std::ffi::CStr;

use nix::errno::Errno;

/// The maximum length of a name in a directory is 255 bytes.
const LENGTH: usize = 512;

/// A path of a name and another one in it, on the stack.
#[derive(Clone, Debug)]
pub struct PathBuffer {
    bytes: [u8; LENGTH],
}

impl PathBuffer {
    /// `directory/name`. Errors: ENAMETOOLONG for more than 511 bytes.
    pub fn join(directory: &CStr, name: &CStr) -> Result<Self, Errno> {
        let mut bytes = [0; LENGTH];
        let parts = [directory.to_bytes(), b"/", name.to_bytes()];
        if parts.iter().map(|part| part.len()).sum::<usize>() >= LENGTH {
            return Err(Errno::ENAMETOOLONG);
        }
        for (place, byte) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        Ok(PathBuffer { bytes })
    }

    /// The path.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_limits_the_length() {
        let name = std::ffi::CString::new([b'a'; 255]).unwrap();
        let path = PathBuffer::join(&name, &name).unwrap();
        assert_eq!(
            path.as_c_str().to_bytes(),
            [&[b'a'; 255][..], &[b'a'; 255]].join(&b'/')
        );
        let long = std::ffi::CString::new([b'a'; 256]).unwrap();
        assert!(PathBuffer::join(&name, &long).is_err());
        assert_eq!(PathBuffer::join(c"s", c"log").unwrap().as_c_str(), c"s/log");
    }
}
