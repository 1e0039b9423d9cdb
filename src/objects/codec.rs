//! Values as bytes, and back.

use core::any::Any;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ObjectError;
use super::kind::StoredType;

/// What a codec could not do.
pub type CodecError = Box<dyn Error + Send + Sync>;

/// Makes bytes of values, and values of bytes.
pub trait Codec {
    /// The bytes of a value.
    ///
    /// # Errors
    /// If the value has none.
    fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, CodecError>;

    /// The value of these bytes.
    ///
    /// # Errors
    /// If there is none.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// The codec unless told: compact, and not self-describing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl Codec for Postcard {
    fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, CodecError> {
        Ok(postcard::to_allocvec(value)?)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        let (value, rest) = postcard::take_from_bytes(bytes)?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(format!("{} bytes behind the value", rest.len()).into())
        }
    }
}

/// A value of type `T` if it is one of type `U`.
fn cast<T: 'static, U: 'static>(value: T) -> Result<U, T> {
    let mut value = Some(value);
    let same = (&mut value as &mut dyn Any).downcast_mut::<Option<U>>();
    match same.and_then(Option::take) {
        Some(same) => Ok(same),
        None => Err(value.expect("it was not taken")),
    }
}

/// The bytes of a value, those that it is or that the codec makes, and what they are stored as.
pub(super) fn encode<T: Serialize + 'static>(
    value: T,
    codec: &impl Codec,
) -> Result<(Bytes, StoredType), ObjectError> {
    let stored = StoredType::BYTES;
    let value = match cast::<T, Bytes>(value) {
        Ok(value) => return Ok((value, stored)),
        Err(value) => value,
    };
    let value = match cast::<T, Vec<u8>>(value) {
        Ok(value) => return Ok((value.into(), stored)),
        Err(value) => value,
    };
    let value = match cast::<T, &'static [u8]>(value) {
        Ok(value) => return Ok((Bytes::copy_from_slice(value), stored)),
        Err(value) => value,
    };
    let (encoded, stored) = StoredType::written::<T, _>(|| codec.encode(&value));
    let encoded = encoded.map_err(|error| ObjectError::Encode(Arc::from(error)))?;
    Ok((encoded.into(), stored))
}

/// The value of some bytes, which are to be of its type.
pub(super) fn decode<T: DeserializeOwned + 'static>(
    (bytes, stored): (Bytes, StoredType),
    codec: &impl Codec,
) -> Result<T, ObjectError> {
    let asked = StoredType::of::<T>();
    if stored != asked {
        return Err(ObjectError::WrongType { stored, asked });
    }
    if stored == StoredType::BYTES {
        let value = cast::<Bytes, T>(bytes);
        let value = value.or_else(|bytes| cast::<Vec<u8>, T>(bytes.to_vec()));
        return Ok(value.unwrap_or_else(|_| unreachable!("no slice can be decoded")));
    }
    let value = codec.decode(&bytes);
    value.map_err(|error| ObjectError::Decode(Arc::from(error)))
}
