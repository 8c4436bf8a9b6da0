//! How a text is split into words before byte-level BPE: the profiles that `tokenizer.ggml.pre` names.
//!
//! A profile is a row of regular expressions, each splitting what the ones before it left; expressions
//! and names are those of llama.cpp's `llama-vocab.cpp`, which takes them from the models'
//! `tokenizer.json`. A name that is not here is refused: a wrong split makes plausible nonsense.

use tokenizers::utils::SysRegex;

pub(super) struct Pretokenizer {
    splits: Vec<SysRegex>,
    /// A word that is a token as a whole is not merged from its bytes.
    pub whole_words: bool,
    /// Whether such models want a first token unless their file says otherwise.
    pub add_bos: bool,
}

struct Profile {
    names: &'static [&'static str],
    splits: &'static [&'static str],
    whole_words: bool,
    add_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

const PROFILES: &[Profile] = &[
    Profile {
        names: &["gpt-2", "phi-2", "mpt", "olmo", "exaone4", "mellum"],
        splits: &[GPT2],
        whole_words: false,
        add_bos: false,
    },
    Profile {
        names: &["default"],
        splits: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
        whole_words: false,
        add_bos: false,
    },
    Profile {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"],
        splits: &[r"\p{N}", GPT2],
        whole_words: false,
        add_bos: false,
    },
    Profile {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"],
        splits: &[LLAMA3],
        whole_words: true,
        add_bos: true,
    },
    Profile {
        names: &["dbrx", "smaug-bpe"],
        splits: &[LLAMA3],
        whole_words: false,
        add_bos: false,
    },
    Profile {
        names: &["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"],
        splits: &[QWEN2],
        whole_words: false,
        add_bos: false,
    },
    Profile {
        names: &["falcon"],
        splits: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
        whole_words: false,
        add_bos: false,
    },
    Profile {
        names: &["deepseek-v3", "hunyuan-dense"],
        splits: &[r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
        whole_words: false,
        add_bos: false,
    },
];

impl Pretokenizer {
    /// The profile of this name; none for a name that is not known.
    pub fn named(name: &str) -> Option<Pretokenizer> {
        let profile = PROFILES.iter().find(|profile| profile.names.contains(&name))?;
        let compile = |text: &&str| SysRegex::new(text).expect("the expressions above are valid");
        Some(Pretokenizer {
            splits: profile.splits.iter().map(compile).collect(),
            whole_words: profile.whole_words,
            add_bos: profile.add_bos,
        })
    }

    /// The names that are known, in the order of the table.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().flat_map(|profile| profile.names.iter().copied())
    }

    /// Hands the words of `text` to `word`, in order, without gaps.
    pub fn split(&self, text: &str, mut word: impl FnMut(&str)) {
        split_by(&self.splits, text, &mut word);
    }
}

fn split_by(splits: &[SysRegex], text: &str, word: &mut dyn FnMut(&str)) {
    let Some((first, rest)) = splits.split_first() else {
        if !text.is_empty() {
            word(text);
        }
        return;
    };
    let mut end = 0;
    for (match_start, match_end) in first.find_iter(text) {
        if end < match_start {
            split_by(rest, &text[end..match_start], word);
        }
        split_by(rest, &text[match_start..match_end], word);
        end = match_end;
    }
    if end < text.len() {
        split_by(rest, &text[end..], word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(profile: &str, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        Pretokenizer::named(profile).unwrap().split(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn profiles_split_as_their_models_do() {
        let text = "It's 2019,\n\n  I'LL";
        assert_eq!(words("gpt-2", text), ["It", "'s", " 2019", ",", "\n\n ", " I", "'", "LL"]);
        assert_eq!(
            words("llama-bpe", text),
            ["It", "'s", " ", "201", "9", ",\n\n", " ", " I", "'LL"]
        );
        let qwen = ["It", "'s", " ", "2", "0", "1", "9", ",\n\n", " ", " I", "'LL"];
        assert_eq!(words("qwen2", text), qwen);
    }

    #[test]
    fn every_profile_compiles_and_loses_nothing() {
        let text = "a  b\r\n\t12345 Ünïcode… 漢字かな! \u{a0}x'd   ";
        for name in Pretokenizer::names() {
            assert_eq!(words(name, text).concat(), text, "{name}");
        }
        assert!(Pretokenizer::named("no-such-name").is_none());
    }
}
