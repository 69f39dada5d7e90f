//! Files that are looked at again and again: whether they changed, and what is wrong with them, told once.

use super::pem::Trouble;
use crate::files::Stamp;

/// What a look at files has to tell the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether something is wrong.
    pub wrong: bool,
    /// In words.
    pub words: String,
}

/// Two files as they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Looked {
    stamps: Option<[Option<Stamp>; 2]>,
    /// What is wrong with what was read last, and whether that was told.
    trouble: Option<(Trouble, bool)>,
}

impl Looked {
    /// Takes in how they are now; whether that is another way than at the last look.
    pub(super) fn changed(&mut self, now: [Option<Stamp>; 2]) -> bool {
        self.stamps.replace(now) != Some(now)
    }

    /// What came of reading them. Trouble is told at the next look: who writes one file and then the other is given
    /// until then.
    pub(super) fn read<T>(&mut self, read: Result<T, Trouble>) -> Option<T> {
        match read {
            Ok(read) => {
                self.trouble = None;
                Some(read)
            }
            Err(trouble) => {
                let told = self.trouble.as_ref().is_some_and(|(known, told)| *told && *known == trouble);
                self.trouble = Some((trouble, told));
                None
            }
        }
    }

    /// What is wrong and was not told yet; from now on it was.
    pub(super) fn untold(&mut self) -> Option<&Trouble> {
        let (trouble, told) = self.trouble.as_mut()?;
        (!std::mem::replace(told, true)).then_some(&*trouble)
    }
}
