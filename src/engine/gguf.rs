//! The GGUF container: typed access to metadata and tensors, with errors that name the key.
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Reading is candle's.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::quantized::gguf_file::{Content, Value};

/// Why a GGUF file is not what the engine needs.
#[derive(Debug)]
pub enum GgufError {
    Open { path: PathBuf, source: io::Error },
    Read { path: PathBuf, message: String },
    MissingKey(String),
    Key { key: String, expected: &'static str },
    MissingTensor(String),
    Shape { tensor: String, found: Vec<usize>, expected: Vec<usize> },
}

impl fmt::Display for GgufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GgufError::Open { path, source } => {
                write!(f, "{}: cannot be opened: {source}", path.display())
            }
            GgufError::Read { path, message } => {
                write!(f, "{}: not a whole GGUF file: {message}", path.display())
            }
            GgufError::MissingKey(key) => write!(f, "the GGUF metadata lacks {key}"),
            GgufError::Key { key, expected } => {
                write!(f, "the GGUF metadata key {key} is not {expected}")
            }
            GgufError::MissingTensor(name) => write!(f, "the GGUF file lacks the tensor {name}"),
            GgufError::Shape { tensor, found, expected } => write!(
                f,
                "the tensor {tensor} has the shape {found:?} where the metadata ask for {expected:?}"
            ),
        }
    }
}

impl std::error::Error for GgufError {}

/// An open GGUF file whose header has been read.
pub(super) struct Gguf {
    path: PathBuf,
    content: Content,
    file: File,
}

/// A reader that knows where it is. candle asks before each of the hundred thousands of texts of a
/// vocabulary, and asking the system takes longer than reading the text.
struct Placed<'a> {
    reader: BufReader<&'a File>,
    at: u64,
}

impl Read for Placed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(out)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Placed<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.reader.seek(to)?;
        Ok(self.at)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.at)
    }
}

/// The bytes of one tensor in the file.
pub(super) struct Stored<'a> {
    file: &'a File,
    start: u64,
    pub len: u64,
    pub dtype: GgmlDType,
}

impl Stored<'_> {
    /// Fills `out` with the bytes from `from` on.
    pub(super) fn read_at(&self, from: usize, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, self.start + from as u64)
    }
}

impl Gguf {
    pub(super) fn open(path: &Path) -> Result<Gguf, GgufError> {
        let open = |source| GgufError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        let mut reader = Placed { reader: BufReader::with_capacity(1 << 16, &file), at: 0 };
        let content = Content::read(&mut reader).map_err(|error| GgufError::Read {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        Ok(Gguf { path: path.to_owned(), content, file })
    }

    pub(super) fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.content.metadata.contains_key(key)
    }

    /// A number that counts something.
    pub(super) fn count(&self, key: &str) -> Result<usize, GgufError> {
        let value = self.value(key)?;
        let count = match value {
            Value::I32(count) => u64::try_from(*count).ok(),
            Value::I64(count) => u64::try_from(*count).ok(),
            value => value.to_u64().ok(),
        };
        count
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| *count <= u32::MAX as usize)
            .ok_or_else(|| GgufError::Key { key: key.into(), expected: "a count" })
    }

    pub(super) fn number(&self, key: &str) -> Result<f32, GgufError> {
        let number = match self.value(key)? {
            Value::F64(number) => Some(*number as f32),
            value => value.to_f32().ok(),
        };
        number.ok_or_else(|| GgufError::Key { key: key.into(), expected: "a number" })
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, GgufError> {
        match self.value(key)? {
            Value::String(text) => Ok(text),
            _ => Err(GgufError::Key { key: key.into(), expected: "a text" }),
        }
    }

    fn value(&self, key: &str) -> Result<&Value, GgufError> {
        self.content.metadata.get(key).ok_or_else(|| GgufError::MissingKey(key.into()))
    }

    /// Name, type and elements of every tensor, by name.
    pub(super) fn tensors(&self) -> BTreeMap<&str, (GgmlDType, usize)> {
        let tensors = &self.content.tensor_infos;
        let of = |info: &candle_core::quantized::gguf_file::TensorInfo| {
            (info.ggml_dtype, info.shape.elem_count())
        };
        tensors.iter().map(|(name, info)| (name.as_str(), of(info))).collect()
    }

    /// Bytes of all tensors.
    pub(super) fn weights_bytes(&self) -> u64 {
        let of = |(dtype, elements): &(GgmlDType, usize)| {
            (elements / dtype.block_size() * dtype.type_size()) as u64
        };
        self.tensors().values().map(of).sum()
    }

    /// Where the tensor `name`, of exactly this shape (rows first), lies in the file.
    pub(super) fn stored(&self, name: &str, shape: &[usize]) -> Result<Stored<'_>, GgufError> {
        let info = self.content.tensor_infos.get(name);
        let info = info.ok_or_else(|| GgufError::MissingTensor(name.into()))?;
        if info.shape.dims() != shape {
            let (found, expected) = (info.shape.dims().to_vec(), shape.to_vec());
            return Err(GgufError::Shape { tensor: name.into(), found, expected });
        }
        let dtype = info.ggml_dtype;
        let len = (info.shape.elem_count() / dtype.block_size() * dtype.type_size()) as u64;
        let start = self.content.tensor_data_offset.saturating_add(info.offset);
        let file = &self.file;
        let size = file.metadata().map_err(|error| self.refuse(name, &error.to_string()))?.len();
        match start.checked_add(len).is_some_and(|end| end <= size) {
            true => Ok(Stored { file, start, len, dtype }),
            false => {
                let message = format!("its {len} bytes from {start} on pass the end, {size}");
                Err(self.refuse(name, &message))
            }
        }
    }

    /// The error that says why the tensor `name` is of no use.
    pub(super) fn refuse(&self, name: &str, message: &str) -> GgufError {
        let message = format!("tensor {name}: {message}");
        GgufError::Read { path: self.path.clone(), message }
    }

    /// The small tensor `name` as f32.
    pub(super) fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, GgufError> {
        let stored = self.stored(name, &[len])?;
        let mut bytes = vec![0; stored.len as usize];
        stored.read_at(0, &mut bytes).map_err(|error| self.refuse(name, &error.to_string()))?;
        let tensor = qtensor_from_ggml(stored.dtype, &bytes, vec![len], &Device::Cpu);
        let values = tensor.and_then(|tensor| tensor.dequantize(&Device::Cpu)?.to_vec1());
        values.map_err(|error| self.refuse(name, &error.to_string()))
    }
}
