//! What the API server may ask: four paths, of which each webhook of the configurations names one.

/// A path of the webhook. The API server's selectors decide which one it asks, so the path says what they found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `POST /inject/namespace`: the pod's namespace is opted in.
    InjectNamespace,
    /// `POST /inject/pod`: the pod asks for itself, its namespace is not opted in.
    InjectPod,
    /// `POST /validate/namespace`: a pod of a namespace that is opted in, after all mutations.
    ValidateNamespace,
    /// `POST /validate/pod`: one that asks for itself.
    ValidatePod,
}

impl Question {
    /// All of them.
    pub const ALL: [Question; 4] =
        [Question::InjectNamespace, Question::InjectPod, Question::ValidateNamespace, Question::ValidatePod];

    /// That of a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Question> {
        Question::ALL.into_iter().find(|question| question.path() == path)
    }

    /// Where it is asked.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Question::InjectNamespace => "/inject/namespace",
            Question::InjectPod => "/inject/pod",
            Question::ValidateNamespace => "/validate/namespace",
            Question::ValidatePod => "/validate/pod",
        }
    }

    /// The label of metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Question::InjectNamespace => "inject_namespace",
            Question::InjectPod => "inject_pod",
            Question::ValidateNamespace => "validate_namespace",
            Question::ValidatePod => "validate_pod",
        }
    }

    /// Whether the pod's namespace is opted in.
    pub(super) fn opted_in(self) -> bool {
        matches!(self, Question::InjectNamespace | Question::ValidateNamespace)
    }

    /// Whether a patch is asked for, and not a verdict.
    pub(super) fn injects(self) -> bool {
        matches!(self, Question::InjectNamespace | Question::InjectPod)
    }
}
