//! Login shells: which edit keeps their start-up files quiet and quick for programs. It reads no file and runs nothing.

/// The edit that keeps a login shell's start-up files from speaking where a program listens; reads after "put it right: ".
/// `shell` is the shell's path, as the account's entry has it.
pub fn quiet_start(shell: &str) -> &'static str {
    match shell.rsplit('/').next().unwrap_or_default() {
        "bash" | "rbash" => {
            "put `case $- in *i*) ;; *) return ;; esac` at the top of ~/.bashrc there"
        }
        "zsh" => {
            "move what prints from ~/.zshenv to ~/.zshrc there, which zsh reads for people only"
        }
        "fish" => {
            "put what prints between `if status is-interactive` and `end` in ~/.config/fish/config.fish there"
        }
        "tcsh" | "csh" => "put `if (! $?prompt) exit` at the top of ~/.tcshrc or ~/.cshrc there",
        _ => {
            "have the login shell's start-up files there print only where a terminal is (`[ -t 1 ]`); in bash: \
             `case $- in *i*) ;; *) return ;; esac` at the top of ~/.bashrc"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_is_told_its_own_file_and_its_own_words() {
        for (shell, words) in [
            ("/bin/bash", "~/.bashrc"),
            ("/usr/bin/zsh", "~/.zshenv"),
            ("/usr/bin/fish", "status is-interactive"),
            ("/bin/tcsh", "$?prompt"),
            ("csh", "$?prompt"),
        ] {
            assert!(quiet_start(shell).contains(words), "{shell}");
        }
        assert!(quiet_start("").contains("~/.bashrc") && quiet_start("/bin/dash").contains("-t 1"));
    }
}
