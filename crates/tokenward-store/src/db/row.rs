//! How types of ours are kept in columns, and structs are read from rows.

use sqlx::error::BoxDynError;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use tokenward_core::event::{ActorKind, Origin};
use tokenward_core::life::DisabledBecause;
use tokenward_core::method::Methods;
use tokenward_core::organization::{BuiltInVariable, CloudProvider, Plan, VariableType};
use tokenward_core::path::Readings;
use tokenward_core::provider_proofs::ProviderProofs;
use tokenward_core::role::{ClusterLevel, Mode, RoleKind};
use tokenward_core::routes::Unknown;
use tokenward_core::secret::Kind;
use tokenward_core::token::RevokeReason;
use tokenward_core::{Time, Uuid};

/// A type that a column holds, in a form that both databases know.
pub(crate) trait Column: Sized {
    /// The form.
    type Stored;

    /// Reads it. A word that nobody knows is an error: nothing is read as something else.
    fn read(kept: Self::Stored) -> Result<Self, BoxDynError>;
}

/// Types that both databases know.
macro_rules! plain {
    ($($type:ty),*) => {
        $(impl Column for $type {
            type Stored = Self;

            fn read(kept: Self) -> Result<Self, BoxDynError> {
                Ok(kept)
            }
        })*
    };
}

plain!(Uuid, bool, i32, i64, String, Vec<u8>, Option<i32>, Option<i64>, Option<Uuid>, Option<String>, Option<Vec<u8>>);

impl Column for Time {
    type Stored = i64;

    fn read(micros: i64) -> Result<Self, BoxDynError> {
        Ok(Self(micros))
    }
}

/// Hashes, keys and signatures: bytes of one length.
impl<const LENGTH: usize> Column for [u8; LENGTH] {
    type Stored = Vec<u8>;

    fn read(bytes: Vec<u8>) -> Result<Self, BoxDynError> {
        bytes.try_into().map_err(|bytes: Vec<u8>| format!("{} bytes instead of {LENGTH}", bytes.len()).into())
    }
}

/// The number of a secret.
impl Column for u16 {
    type Stored = i32;

    fn read(number: i32) -> Result<Self, BoxDynError> {
        Ok(number.try_into()?)
    }
}

impl Column for Option<Time> {
    type Stored = Option<i64>;

    fn read(micros: Option<i64>) -> Result<Self, BoxDynError> {
        Ok(micros.map(Time))
    }
}

/// A set of words.
impl Column for Readings {
    type Stored = String;

    fn read(words: String) -> Result<Self, BoxDynError> {
        Ok(Self::parse(&words)?)
    }
}

/// How somebody has proved who they are.
impl Column for Methods {
    type Stored = String;

    fn read(words: String) -> Result<Self, BoxDynError> {
        Ok(Self::parse(&words)?)
    }
}

/// When providers last did.
impl Column for ProviderProofs {
    type Stored = String;

    fn read(words: String) -> Result<Self, BoxDynError> {
        Ok(Self::parse(&words)?)
    }
}

/// Types that are kept as their words.
macro_rules! words {
    ($($type:ty),*) => {
        $(impl Column for $type {
            type Stored = String;

            fn read(word: String) -> Result<Self, BoxDynError> {
                Ok(Self::try_from(word)?)
            }
        }

        impl Column for Option<$type> {
            type Stored = Option<String>;

            fn read(word: Option<String>) -> Result<Self, BoxDynError> {
                Ok(word.map(<$type>::try_from).transpose()?)
            }
        })*
    };
}

words!(
    ActorKind,
    BuiltInVariable,
    CloudProvider,
    ClusterLevel,
    DisabledBecause,
    Kind,
    Mode,
    Origin,
    Plan,
    RevokeReason,
    RoleKind,
    Unknown,
    VariableType
);

/// One column of a row.
pub(crate) fn column<'r, R, T>(row: &'r R, name: &'static str) -> sqlx::Result<T>
where
    R: Row,
    T: Column<Stored: Decode<'r, R::Database> + Type<R::Database>>,
    &'static str: ColumnIndex<R>,
{
    let kept = row.try_get::<T::Stored, _>(name)?;
    T::read(kept).map_err(|source| sqlx::Error::ColumnDecode { index: name.to_owned(), source })
}

/// Two structs that are read from one row, which has the fields of both as columns.
pub(crate) struct Joined<A, B>(pub A, pub B);

impl<'r, R: Row, A: FromRow<'r, R>, B: FromRow<'r, R>> FromRow<'r, R> for Joined<A, B> {
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self(A::from_row(row)?, B::from_row(row)?))
    }
}

/// A struct that is read from a row where that has something in the column `id`; nothing, where it has not.
pub(crate) struct Perhaps<T>(pub Option<T>);

impl<'r, R: Row, T: FromRow<'r, R>> FromRow<'r, R> for Perhaps<T>
where
    &'static str: ColumnIndex<R>,
    Option<Uuid>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let id: Option<Uuid> = row.try_get("id")?;
        id.map(|_| T::from_row(row)).transpose().map(Self)
    }
}

/// A struct that is read from a row which has its fields as columns.
macro_rules! row {
    ($(#[$meta:meta])* $visible:vis struct $name:ident { $($(#[$about:meta])* $shown:vis $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        $visible struct $name { $($(#[$about])* $shown $field: $type,)* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $(<$type as $crate::db::Column>::Stored: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: $crate::db::column(row, stringify!($field))?,)* })
            }
        }
    };
}
pub(crate) use row;
