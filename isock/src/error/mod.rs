//! What can go wrong, by audience: the caller, and whoever starts a program.
//!
//! A caller asks whose fault it is, whether the handler ran and whether to try again; the types
//! answer. What the operator should know goes to the log instead.

mod call;
mod problem;
mod start;

pub use call::CallError;
pub use problem::{Problem, ProblemKind};
pub use start::{BadName, ConnectError, ExpectError, RegisterError, ServeError};

#[cfg(test)]
mod tests {
    /// Words that say what to do, where they begin a clause.
    const ADVICE: [&str; 21] = [
        "add", "ask", "call", "change", "check", "give", "go by", "look", "make", "match", "name",
        "put", "raise", "rebuild", "register", "remove", "rename", "send", "set", "shorten",
        "start",
    ];
    const MORE_ADVICE: [&str; 5] = ["stop", "try again", "use", "wait", "write"];

    fn advises(docs: &str) -> bool {
        let mut words = ADVICE.iter().chain(&MORE_ADVICE);
        words.any(|word| {
            docs.contains(&format!(": {word} ")) || docs.contains(&format!(". {word} "))
        })
    }

    /// The variants of a file's public enums that have no advice in their documentation.
    fn without_advice(text: &str) -> Vec<String> {
        let mut lacking = Vec::new();
        let (mut inside, mut docs) = (false, String::new());
        for line in text.lines() {
            if line.starts_with("pub enum ") {
                inside = true;
            } else if line.starts_with('}') {
                inside = false;
            }
            let Some(code) = line.strip_prefix("    ").filter(|_| inside) else { continue };
            if let Some(text) = code.strip_prefix("/// ") {
                docs += text;
                docs.push(' ');
            } else if code.starts_with(char::is_uppercase) {
                let docs = std::mem::take(&mut docs).to_lowercase();
                if !advises(&docs) {
                    lacking.push(code.to_owned());
                }
            }
        }
        lacking
    }

    #[test]
    fn every_variant_says_what_to_do() {
        let files = [include_str!("call.rs"), include_str!("problem.rs"), include_str!("start.rs")];
        for text in files {
            assert!(text.contains("\npub enum "));
            assert_eq!(without_advice(text), Vec::<String>::new());
        }
        let bad = "pub enum E {\n    /// It broke.\n    Broke,\n    /// Gone: make another one.\n    Gone,\n}\n";
        assert_eq!(without_advice(bad), ["Broke,"]);
    }
}
