//! Lists of what a registry has: the tags of a repository, and the repositories (OCI distribution specification,
//! "Listing Tags"; distribution's catalog API).

use super::auth::{Access, Scope};
use super::client::Client;
use super::http::Request;
use crate::error::{Context, Error, Result};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The maximum size of a page of a list.
const MAX_PAGE: usize = 8 << 20;
/// The maximum number of names in a list, so that a registry cannot send an endless one.
const MAX_NAMES: usize = 2_000_000;
/// The maximum length of a name: longer ones are neither repositories nor tags.
const MAX_NAME: usize = 255;
/// The number of names requested per page. Registries may return fewer.
const PAGE: &str = "n=1000";

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

impl Client {
    /// Returns the tags of a repository, sorted.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::NotFound`](crate::error::Kind::NotFound) if the repository does not exist.
    pub async fn tags(&self, repository: &str) -> Result<BTreeSet<String>> {
        let url = self.url(repository, &format!("tags/list?{PAGE}"))?;
        let scopes = [Scope { repository: repository.into(), access: Access::Pull }];
        let operation = format!("listing the tags of {}/{repository}", self.host());
        let read = |body: &[u8]| Ok(serde_json::from_slice::<Tags>(body)?.tags.unwrap_or_default());
        self.names(url, &scopes, &operation, &read).await
    }

    /// Returns the repositories of the registry, sorted, as far as it lists them for this user.
    pub async fn catalog(&self) -> Result<BTreeSet<String>> {
        let url = self.root_url(&format!("_catalog?{PAGE}"))?;
        let operation = format!("listing the repositories of {}", self.host());
        let read =
            |body: &[u8]| Ok(serde_json::from_slice::<Catalog>(body)?.repositories.unwrap_or_default());
        self.names(url, &[], &operation, &read).await.map_err(|error| {
            let hint = "name each repository in an entry of its own; this registry does not list them";
            if error.remedy().is_some() { error } else { error.hint(hint) }
        })
    }

    async fn names(
        &self,
        mut url: Url,
        scopes: &[Scope],
        operation: &str,
        read: &(dyn Fn(&[u8]) -> serde_json::Result<Vec<String>> + Sync),
    ) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        loop {
            let request = Request::new(Method::GET, url.clone(), operation);
            let answer = self.fetch(&request, scopes, MAX_PAGE).await?;
            if answer.status != StatusCode::OK {
                return Err(answer.refusal(operation).into_error());
            }
            let next = self.next_page(&url, &answer, operation)?;
            let known = names.len();
            let page = read(&answer.body)
                .map_err(|e| Error::network(format!("invalid list: {e}")))
                .context(|| operation)?;
            if let Some(long) = page.iter().find(|name| name.len() > MAX_NAME) {
                return Err(Error::network(format!(
                    "{operation}: invalid list: a name of {} bytes",
                    long.len()
                )));
            }
            names.extend(page);
            if names.len() > MAX_NAMES {
                return Err(Error::network(format!("{operation}: more than {MAX_NAMES} names")));
            }
            match next {
                // Stop at a page without new names, because others might follow without end.
                Some(next) if names.len() > known => url = next,
                _ => return Ok(names),
            }
        }
    }
}
