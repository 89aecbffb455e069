//! What a path is called below a folder. Looks at no disk.

use std::path::Path;

/// As `path.strip_prefix(folder)`, which takes both apart part by part; most often the one is spelled as the other, and
/// a look at the bytes is enough.
pub(crate) fn below<'a>(path: &'a Path, folder: &Path) -> Option<&'a Path> {
    spelled_below(path, folder).or_else(|| path.strip_prefix(folder).ok())
}

/// The rest of a path that begins with the folder's own letters; `None` if these have to be looked at more closely.
#[cfg(unix)]
fn spelled_below<'a>(path: &'a Path, folder: &Path) -> Option<&'a Path> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let rest = path.as_os_str().as_bytes().strip_prefix(folder.as_os_str().as_bytes())?.strip_prefix(b"/")?;
    // Of what is written in another way than it need be, more parts may have no meaning.
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| !b"/.".contains(byte));
    let is_plain = is_letter(rest.first()) && is_letter(rest.last()) && !folder.as_os_str().is_empty();
    is_plain.then(|| Path::new(OsStr::from_bytes(rest)))
}

#[cfg(not(unix))]
fn spelled_below<'a>(_path: &'a Path, _folder: &Path) -> Option<&'a Path> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_standard_library_says() {
        let parts = [
            "", "/", "a", "/a", "a/", "/a/b", "a/b", "./a", "a/./b", "a//b", "/a/../b", "a/.b", ".", "..",
            "ab",
        ];
        let joined = parts.iter().flat_map(|one| parts.iter().map(move |other| format!("{one}{other}")));
        for path in
            joined.chain(parts.iter().flat_map(|one| parts.iter().map(move |other| format!("{one}/{other}"))))
        {
            for folder in parts {
                let (path, folder) = (Path::new(&path), Path::new(folder));
                let told = below(path, folder);
                assert_eq!(told, path.strip_prefix(folder).ok(), "{path:?} below {folder:?}");
                // Paths that are alike can be spelled differently.
                let own = path.strip_prefix(folder).ok().map(Path::as_os_str);
                assert_eq!(told.map(Path::as_os_str), own, "{path:?} below {folder:?}");
            }
        }
    }
}
