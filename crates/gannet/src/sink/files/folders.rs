//! The folders that files lie in: opened step by step, made where that is wanted, asked whether they can be written to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::directory::{Directory, Make};
use super::super::{CreateDirectory, io_error};
use super::{Files, Located, Opened, Places, Root, locked, own_name};
use crate::error::Error;

impl Files {
    /// The folder of a path that the sink chose, and its name there; `None` if a folder between is
    /// not there and is not to be made.
    pub(super) fn locate(&self, place: &Path, make: Make) -> Result<Option<Located>, Error> {
        let folder = place.parent().unwrap_or(Path::new(""));
        let name = own_name(place)?;
        let Places::Below(root) = &self.places else {
            let may_make = self.create_directory == CreateDirectory::WhenMissing;
            let may_miss = may_make || self.create_directory == CreateDirectory::Pretend;
            let make = if may_make { make } else { Make::Never };
            return match Directory::open(folder, make) {
                Ok(directory) => Ok(Some(Located { directory: Arc::new(directory), name })),
                Err(cause) if may_miss && cause.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(cause) => Err(io_error::no_folder(folder, cause)),
            };
        };
        let is_missing = || matches!(root.path.try_exists(), Ok(false));
        if self.create_directory == CreateDirectory::Pretend && is_missing() {
            return Ok(None);
        }
        let mut directory = self.open(root)?;
        for step in folder {
            match directory.child(step, make) {
                Ok(next) => directory = Arc::new(next),
                Err(cause) if make == Make::Never && cause.kind() == io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                Err(cause) => return Err(io_error::no_folder(&directory.path_of(step), cause)),
            }
        }
        Ok(Some(Located { directory, name }))
    }

    fn open(&self, root: &Root) -> Result<Arc<Directory>, Error> {
        let mut opened = locked(&root.opened);
        if let Some(opened) = &*opened {
            return Ok(opened.directory.clone());
        }
        let make = match self.create_directory {
            CreateDirectory::WhenMissing => Make::IfMissing,
            CreateDirectory::Never | CreateDirectory::Pretend => Make::Never,
        };
        let directory =
            Directory::open(&root.path, make).map_err(|cause| io_error::no_folder(&root.path, cause))?;
        let directory = Arc::new(directory);
        *opened = Some(Opened { directory: directory.clone(), is_writable: false });
        Ok(directory)
    }

    /// Says before anything is sent that nothing can be written; asks once about the folder of the sink.
    pub(super) fn check_writable(&self, directory: &Directory) -> Result<(), Error> {
        match &self.places {
            Places::Below(_) => self.check_own_folder(),
            Places::At(_) | Places::Own => checked(directory),
        }
    }

    pub(super) fn check_own_folder(&self) -> Result<(), Error> {
        if let Places::Below(root) = &self.places
            && let Some(opened) = &mut *locked(&root.opened)
            && !opened.is_writable
        {
            checked(&opened.directory)?;
            opened.is_writable = true;
        }
        Ok(())
    }
}

fn checked(directory: &Directory) -> Result<(), Error> {
    directory.check_writable().map_err(|cause| io_error::of_path(&directory.path_of("".as_ref()), cause))
}
