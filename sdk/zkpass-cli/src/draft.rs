//! A request put together from a file, complete or in part, and from options.

use std::collections::BTreeMap;

use serde::Deserialize;
use zkpass_core::dvr::{Dvr, DvrError, DvrToken, PROOF_SYSTEM, UserDataRequest};
use zkpass_core::json;
use zkpass_core::keys::{IssuerKey, PublicKey};
use zkpass_core::user_data::Profile;
use zkpass_query::ast::Program;

use crate::args;
use crate::clock;
use crate::documents::{adopt_only_tag, by_tag};
use crate::failure::Failure;
use crate::files::Input;
use crate::keys;
use crate::query::compile;

/// The version of the query language and of its evaluation, written into new requests.
const QUERY_VERSION: &str = "1.0.0";

/// The fields of a request that are known so far.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    zkvm: Option<String>,
    dvr_title: Option<String>,
    dvr_id: Option<String>,
    query_engine_ver: Option<String>,
    query_method_ver: Option<String>,
    query: Option<String>,
    user_data_requests: BTreeMap<String, DocumentDraft>,
    dvr_verifying_key: Option<IssuerKey>,
    nonce: Option<String>,
    audience: Option<String>,
    expires_at: Option<i64>,
    max_age_days: Option<u32>,
    holder_binding: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DocumentDraft {
    user_data_url: Option<String>,
    user_data_verifying_key: Option<IssuerKey>,
    profile: Option<Profile>,
}

impl Draft {
    /// Reads a request, complete or in part, as JSON or inside a signed token.
    pub fn read(file: &Input) -> Result<Self, Failure> {
        let text = file.read_word()?;
        if text.starts_with('{') {
            return json::decode(&text).map_err(|error| DvrError::from(error).into());
        }
        Ok(DvrToken::parse(&text)?.into_dvr().into())
    }

    /// The file and the options together.
    pub fn from_args(args: &args::Draft) -> Result<Self, Failure> {
        let mut draft = match &args.dvr {
            Some(file) => Self::read(file)?,
            None => Self::default(),
        };
        if let Some(file) = &args.query {
            draft.query = Some(file.read()?);
        }
        replace(&mut draft.dvr_title, &args.title);
        replace(&mut draft.dvr_id, &args.id);
        replace(&mut draft.nonce, &args.nonce);
        replace(&mut draft.audience, &args.audience);
        replace(&mut draft.max_age_days, &args.max_age_days);
        if let Some(moment) = args.expires {
            draft.expires_at = Some(moment.unix_seconds(clock::now()?));
        }
        draft.add_documents(args)?;
        Ok(draft)
    }

    fn add_documents(&mut self, args: &args::Draft) -> Result<(), Failure> {
        let keys = args.issuer_key.iter();
        let mut keys = by_tag(
            "the issuer key",
            keys.map(|key| (key.tag.clone(), &key.file)),
        )?;
        let mut profiles = by_tag("the profile", args.profile.iter().cloned())?;
        let urls = args.data_url.iter();
        let mut urls = by_tag("the URL", urls.map(|url| (url.tag.clone(), &url.text)))?;

        let known: Vec<String> = self.user_data_requests.keys().cloned().collect();
        adopt_only_tag(&mut keys, known.iter());
        for (tag, file) in keys {
            let request = self.user_data_requests.entry(tag).or_default();
            request.user_data_verifying_key = Some(keys::read_public(file)?.into());
        }
        let known: Vec<String> = self.user_data_requests.keys().cloned().collect();
        adopt_only_tag(&mut profiles, known.iter());
        adopt_only_tag(&mut urls, known.iter());
        for (tag, profile) in profiles {
            self.document(&tag)?.profile = Some(profile.into());
        }
        for (tag, url) in urls {
            self.document(&tag)?.user_data_url = Some(url.clone());
        }
        Ok(())
    }

    fn document(&mut self, tag: &str) -> Result<&mut DocumentDraft, Failure> {
        self.user_data_requests.get_mut(tag).ok_or_else(|| {
            Failure::usage(format!("no --issuer-key is given for the document `{tag}`"))
        })
    }

    /// The tags of the documents.
    pub fn tags(&self) -> Vec<String> {
        self.user_data_requests.keys().cloned().collect()
    }

    /// The query.
    pub fn query(&self) -> Result<&str, Failure> {
        self.query
            .as_deref()
            .ok_or_else(|| Failure::usage("the request has no query; give --query".to_owned()))
    }

    /// Names the key that will sign the request.
    pub fn signed_by(&mut self, key: PublicKey) -> Result<(), Failure> {
        match &self.dvr_verifying_key {
            None => self.dvr_verifying_key = Some(key.into()),
            Some(named) if named.public_key() == Ok(key) => {}
            Some(IssuerKey::KeysetEndpoint { .. }) => {}
            Some(_) => {
                return Err(Failure::usage(
                    "`dvr_verifying_key` in the request is not the key of --key; \
                     sign with that key, or leave the member out"
                        .to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// The request, with its query checked.
    pub fn finish(self) -> Result<(Dvr, Program), Failure> {
        let query = self.query()?.to_owned();
        let requests: BTreeMap<String, UserDataRequest> = self
            .user_data_requests
            .into_iter()
            .map(|(tag, document)| Ok((tag.clone(), document.finish(&tag)?)))
            .collect::<Result<_, Failure>>()?;
        let dvr = Dvr {
            zkvm: self.zkvm.unwrap_or_else(|| PROOF_SYSTEM.to_owned()),
            dvr_title: self.dvr_title.unwrap_or_default(),
            dvr_id: match self.dvr_id {
                Some(id) => id,
                None => zkpass_client::keys::random_id()
                    .map_err(|error| Failure::system(error.to_string()))?,
            },
            query_engine_ver: self
                .query_engine_ver
                .unwrap_or_else(|| QUERY_VERSION.to_owned()),
            query_method_ver: self
                .query_method_ver
                .unwrap_or_else(|| QUERY_VERSION.to_owned()),
            query,
            user_data_requests: requests,
            dvr_verifying_key: self.dvr_verifying_key,
            nonce: self.nonce,
            audience: self.audience,
            expires_at: self.expires_at,
            max_age_days: self.max_age_days,
            holder_binding: self.holder_binding,
        };
        dvr.validate()?;
        let program = compile(&dvr.query, dvr.user_data_requests.keys())?;
        Ok((dvr, program))
    }
}

impl DocumentDraft {
    fn finish(self, tag: &str) -> Result<UserDataRequest, Failure> {
        let key = self.user_data_verifying_key.ok_or_else(|| {
            Failure::usage(match tag {
                "" => "no --issuer-key is given".to_owned(),
                tag => format!("no --issuer-key is given for the document `{tag}`"),
            })
        })?;
        Ok(UserDataRequest {
            user_data_url: self.user_data_url,
            user_data_verifying_key: key,
            profile: self.profile.unwrap_or_default(),
        })
    }
}

impl From<Dvr> for Draft {
    fn from(dvr: Dvr) -> Self {
        let document = |request: UserDataRequest| DocumentDraft {
            user_data_url: request.user_data_url,
            user_data_verifying_key: Some(request.user_data_verifying_key),
            profile: Some(request.profile),
        };
        Self {
            zkvm: Some(dvr.zkvm),
            dvr_title: Some(dvr.dvr_title),
            dvr_id: Some(dvr.dvr_id),
            query_engine_ver: Some(dvr.query_engine_ver),
            query_method_ver: Some(dvr.query_method_ver),
            query: Some(dvr.query),
            user_data_requests: dvr
                .user_data_requests
                .into_iter()
                .map(|(tag, request)| (tag, document(request)))
                .collect(),
            dvr_verifying_key: dvr.dvr_verifying_key,
            nonce: dvr.nonce,
            audience: dvr.audience,
            expires_at: dvr.expires_at,
            max_age_days: dvr.max_age_days,
            holder_binding: dvr.holder_binding,
        }
    }
}

fn replace<T: Clone>(field: &mut Option<T>, option: &Option<T>) {
    if option.is_some() {
        field.clone_from(option);
    }
}
