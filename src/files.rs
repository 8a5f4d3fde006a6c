// SPDX-License-Identifier: MIT OR Apache-2.0
//! sysfs and procfs: the host's own, a recorded copy below a directory, or a simulated tree.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// A file larger than this is refused: no file that the library reads comes near it.
const MAX_FILE: u64 = 64 << 20;
/// More links than this on one path are a loop (the kernel's own limit, `MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// The files that describe a machine, by their absolute paths on it.
///
/// Links are followed inside the root only, so that a recorded tree cannot lead outside of itself.
#[derive(Clone, Debug)]
pub struct Files {
    source: Arc<Source>,
    log: Option<Arc<Mutex<Log>>>,
}

#[derive(Debug)]
enum Source {
    Host,
    Directory(PathBuf),
    Tree(Tree),
    Overlaid { upper: Upper, lower: Files },
}

/// Answers with the files that lie over others, as they are at each look.
struct Upper(Box<dyn Fn() -> Arc<Tree> + Send + Sync>);

impl fmt::Debug for Upper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)().fmt(out)
    }
}

/// Everything that was read: what a recording has to hold.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) links: BTreeMap<PathBuf, PathBuf>,
    pub(crate) directories: BTreeSet<PathBuf>,
}

/// A simulated tree of files. Directories exist where something lies below them.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<PathBuf, Node>);

enum Node {
    File(Vec<u8>),
    Link(PathBuf),
    Live(Box<dyn Fn() -> io::Result<Vec<u8>> + Send + Sync>),
    Directory,
    /// Nothing, whatever lies below.
    Absent,
}

impl fmt::Debug for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::File(bytes) => write!(out, "{} bytes", bytes.len()),
            Node::Link(target) => write!(out, "-> {}", target.display()),
            Node::Live(_) => out.write_str("live"),
            Node::Directory => out.write_str("directory"),
            Node::Absent => out.write_str("absent"),
        }
    }
}

impl Tree {
    pub(crate) fn file(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Node::File(content.into()));
    }

    pub(crate) fn link(&mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) {
        self.0.insert(path.into(), Node::Link(target.into()));
    }

    /// A file whose content is made anew at each read.
    pub(crate) fn live(
        &mut self,
        path: impl Into<PathBuf>,
        content: impl Fn() -> io::Result<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.0.insert(path.into(), Node::Live(Box::new(content)));
    }

    /// A directory that exists even while it is empty.
    pub(crate) fn directory(&mut self, path: impl Into<PathBuf>) {
        self.0.insert(path.into(), Node::Directory);
    }

    /// Hides a file or directory of the files under this tree; what this tree has below the path stays visible.
    pub(crate) fn absent(&mut self, path: impl Into<PathBuf>) {
        self.0.insert(path.into(), Node::Absent);
    }

    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let found = self.0.range(path.to_owned()..).take_while(move |(found, _)| found.starts_with(path));
        found.filter(|(_, node)| !matches!(node, Node::Absent)).map(|(found, _)| found)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.0.get(path) {
            Some(Node::File(bytes)) => Ok(bytes.clone()),
            Some(Node::Live(content)) => content(),
            _ if self.is_directory(path) => Err(errno(libc::EISDIR)),
            _ => Err(errno(libc::ENOENT)),
        }
    }

    fn list(&self, path: &Path) -> io::Result<BTreeSet<String>> {
        if !self.is_directory(path) {
            return Err(errno(libc::ENOENT));
        }
        let names = self.below(path).filter_map(|found| found.strip_prefix(path).ok()?.components().next());
        Ok(names.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.below(path).next().is_some()
    }

    /// Whether the file of this path in the files under this tree is not to be seen.
    fn hides(&self, path: &Path) -> bool {
        path.ancestors().any(|above| matches!(self.0.get(above), Some(Node::Absent)))
    }

    /// Whether this tree says all of what there is at `path`.
    fn decides(&self, path: &Path) -> bool {
        self.0.contains_key(path) || self.hides(path)
    }

    /// Where the link at `path` points, if it is one.
    fn target(&self, path: &Path) -> Option<PathBuf> {
        match self.0.get(path) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        matches!(self.0.get(path), Some(Node::Directory)) || self.below(path).any(|found| found != path)
    }
}

impl Files {
    /// This host's own.
    pub fn host() -> Files {
        Files { source: Arc::new(Source::Host), log: None }
    }

    /// A recorded copy: `/sys/…` is looked for at `root/sys/…`.
    pub fn at(root: impl Into<PathBuf>) -> Files {
        Files { source: Arc::new(Source::Directory(root.into())), log: None }
    }

    pub(crate) fn tree(tree: Tree) -> Files {
        Files { source: Arc::new(Source::Tree(tree)), log: None }
    }

    /// Whether these are this host's own.
    pub(crate) fn is_host(&self) -> bool {
        matches!(&*self.source, Source::Host)
    }

    /// The same files with those of `upper` over them, which is called at each look.
    pub(crate) fn overlaid(&self, upper: impl Fn() -> Arc<Tree> + Send + Sync + 'static) -> Files {
        let upper = Upper(Box::new(upper));
        Files { source: Arc::new(Source::Overlaid { upper, lower: self.clone() }), log: None }
    }

    /// The same files, with everything that is read from now on noted in the log.
    pub(crate) fn logged(&self) -> (Files, Arc<Mutex<Log>>) {
        let log = Arc::new(Mutex::new(Log::default()));
        (Files { source: self.source.clone(), log: Some(log.clone()) }, log)
    }

    /// The content of a file.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let path = self.place(path.as_ref())?;
        let bytes = self.source.read(&path)?;
        self.note(|log| log.files.insert(path, bytes.clone()));
        Ok(bytes)
    }

    /// The content of a text file without white space around it.
    pub fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let bytes = self.read(path)?;
        let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not text"))?;
        Ok(text.trim().to_owned())
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: impl AsRef<Path>) -> io::Result<Vec<String>> {
        let path = self.place(path.as_ref())?;
        let names = self.source.list(&path)?;
        self.note(|log| log.directories.insert(path));
        Ok(names.into_iter().collect())
    }

    /// Whether a file, directory or link target is there.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        let Ok(path) = self.place(path.as_ref()) else { return false };
        let there = self.source.exists(&path);
        if there {
            self.note(|log| log.directories.insert(path));
        }
        there
    }

    /// The path with every link in it followed: where a sysfs link really leads.
    pub fn resolve(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        match (&*self.source, &self.log) {
            (Source::Host, None) => fs::canonicalize(path),
            _ => self.walk(path.as_ref()),
        }
    }

    /// Where to read: the host's kernel follows links itself, unless they are to be noted.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        match (&*self.source, &self.log) {
            (Source::Host, None) => Ok(path.to_owned()),
            _ => self.walk(path),
        }
    }

    /// Follows links component by component, never above the root.
    fn walk(&self, path: &Path) -> io::Result<PathBuf> {
        let mut pending: Vec<PathBuf> = parts(path);
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part.as_os_str() == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&part);
            let Some(target) = self.source.link(&next)? else {
                real = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(errno(libc::ELOOP));
            }
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            pending.extend(parts(&target));
            self.note(|log| log.links.insert(next, target));
        }
        Ok(real)
    }

    fn note<T>(&self, entry: impl FnOnce(&mut Log) -> T) {
        if let Some(log) = &self.log {
            entry(&mut log.lock());
        }
    }
}

/// Each takes a path in which no component but the last is a link.
impl Source {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self {
            Source::Host => read_bounded(path),
            Source::Directory(root) => read_bounded(&below(root, path)),
            Source::Tree(tree) => tree.read(path),
            Source::Overlaid { upper, lower } => match (upper.0)() {
                upper if upper.decides(path) => upper.read(path),
                _ => lower.source.read(path),
            },
        }
    }

    fn list(&self, path: &Path) -> io::Result<BTreeSet<String>> {
        match self {
            Source::Host => names_in(path),
            Source::Directory(root) => names_in(&below(root, path)),
            Source::Tree(tree) => tree.list(path),
            Source::Overlaid { upper, lower } => {
                let upper = (upper.0)();
                let under = if upper.hides(path) { Err(errno(libc::ENOENT)) } else { lower.source.list(path) };
                match (upper.list(path), under) {
                    (above, Ok(under)) => {
                        let under = under.into_iter().filter(|name| !upper.hides(&path.join(name)));
                        Ok(under.chain(above.unwrap_or_default()).collect())
                    }
                    (above, Err(error)) => above.map_err(|_| error),
                }
            }
        }
    }

    fn exists(&self, path: &Path) -> bool {
        match self {
            Source::Host => path.exists(),
            Source::Directory(root) => below(root, path).exists(),
            Source::Tree(tree) => tree.exists(path),
            Source::Overlaid { upper, lower } => {
                let upper = (upper.0)();
                upper.exists(path) || !upper.hides(path) && lower.source.exists(path)
            }
        }
    }

    /// Where the link at `path` points, if it is one.
    fn link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let found = match self {
            Source::Host => fs::read_link(path),
            Source::Directory(root) => fs::read_link(below(root, path)),
            Source::Tree(tree) => return Ok(tree.target(path)),
            Source::Overlaid { upper, lower } => match (upper.0)() {
                upper if upper.decides(path) => return Ok(upper.target(path)),
                _ => return lower.source.link(path),
            },
        };
        match found {
            Ok(target) => Ok(Some(target)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            // As in a tree: what a recording does not hold may still be where a link leads.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && !matches!(self, Source::Host) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The components of `path`, last first, without the root.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    let mut parts: Vec<PathBuf> = named.map(|part| PathBuf::from(part.as_os_str())).collect();
    parts.reverse();
    parts
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Regular files only: a pipe or a device in a recorded tree would block or never end.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Without waiting for anybody to write to a pipe.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(errno(if metadata.is_dir() { libc::EISDIR } else { libc::EINVAL }));
    }
    if metadata.len() > MAX_FILE {
        return Err(errno(libc::EFBIG));
    }
    // The files of sysfs and procfs do not tell how long they are.
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(errno(libc::EFBIG));
    }
    Ok(bytes)
}

fn names_in(path: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn small_tree() -> Files {
        let mut tree = Tree::default();
        tree.file("/sys/devices/pci0000:00/0000:00:01.0/vendor", "0x8086\n");
        tree.link("/sys/bus/pci/devices/0000:00:01.0", "../../../devices/pci0000:00/0000:00:01.0");
        tree.link("/sys/loop", "loop");
        tree.live("/proc/self/maps", || Ok(b"now\n".to_vec()));
        Files::tree(tree)
    }

    #[test]
    fn links_are_followed_in_a_tree() {
        let files = small_tree();
        assert_eq!(files.text("/sys/bus/pci/devices/0000:00:01.0/vendor").unwrap(), "0x8086");
        let real = files.resolve("/sys/bus/pci/devices/0000:00:01.0").unwrap();
        assert_eq!(real, Path::new("/sys/devices/pci0000:00/0000:00:01.0"));
        assert_eq!(files.list("/sys/bus/pci/devices").unwrap(), ["0000:00:01.0"]);
        assert_eq!(files.read("/sys/loop").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(files.text("/proc/self/maps").unwrap(), "now");
        assert!(!files.exists("/sys/bus/usb"));
    }

    #[test]
    fn what_lies_above_hides_what_lies_below() {
        let files = small_tree().overlaid(|| {
            let mut upper = Tree::default();
            upper.file("/proc/self/maps", "later\n");
            upper.file("/proc/iomem", "");
            Arc::new(upper)
        });
        assert_eq!(files.text("/proc/self/maps").unwrap(), "later");
        assert_eq!(files.text("/sys/bus/pci/devices/0000:00:01.0/vendor").unwrap(), "0x8086");
        assert_eq!(files.list("/proc").unwrap(), ["iomem", "self"]);
        assert!(files.exists("/proc/iomem") && !small_tree().exists("/proc/iomem"));
    }

    #[test]
    fn what_lies_above_can_take_away_what_lies_below() {
        let files = small_tree().overlaid(|| {
            let mut upper = Tree::default();
            upper.absent("/sys/bus");
            upper.absent("/sys/devices/pci0000:00/0000:00:01.0");
            upper.file("/sys/bus/usb/new", "");
            Arc::new(upper)
        });
        assert!(!files.exists("/sys/bus/pci") && files.exists("/sys/bus/usb/new"));
        assert_eq!(files.list("/sys/bus").unwrap(), ["usb"]);
        assert_eq!(files.list("/sys/devices/pci0000:00").unwrap(), [""; 0]);
        assert!(files.read("/sys/devices/pci0000:00/0000:00:01.0/vendor").is_err());
        assert_eq!(files.read("/sys/loop").unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_recorded_tree_cannot_lead_outside() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "no").unwrap();
        let root = tempfile::tempdir().unwrap();
        symlink(outside.path().join("secret"), root.path().join("absolute")).unwrap();
        symlink("../../../../../../../../etc/hostname", root.path().join("upward")).unwrap();
        fs::create_dir(root.path().join("directory")).unwrap();
        let files = Files::at(root.path());
        for path in ["/absolute", "/upward", "/directory", "/absent"] {
            assert!(files.read(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_log_holds_what_was_read() {
        let (files, log) = small_tree().logged();
        files.text("/sys/bus/pci/devices/0000:00:01.0/vendor").unwrap();
        let log = log.lock();
        assert!(log.files.contains_key(Path::new("/sys/devices/pci0000:00/0000:00:01.0/vendor")));
        assert!(log.links.contains_key(Path::new("/sys/bus/pci/devices/0000:00:01.0")));
    }
}
