//! The programs, one for each platform, as built by `scripts/build-reapers`.

/// A program for one Linux platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prebuilt {
    /// The name of the architecture in OCI image configurations.
    pub architecture: &'static str,
    /// The lowest variant of the architecture that can run the program; `None` if all variants can.
    pub variant: Option<&'static str>,
    /// The executable file.
    pub program: &'static [u8],
}

macro_rules! prebuilt {
    ($($file:literal => ($architecture:literal, $variant:expr)),* $(,)?) => {
        &[$(Prebuilt {
            architecture: $architecture,
            variant: $variant,
            program: include_bytes!(concat!("../prebuilt/", $file)),
        }),*]
    };
}

/// All programs. The variants of an architecture are in ascending order.
pub const PREBUILT: &[Prebuilt] = prebuilt! {
    "linux-386" => ("386", None),
    "linux-amd64" => ("amd64", None),
    "linux-arm-v5" => ("arm", Some("v5")),
    "linux-arm-v6" => ("arm", Some("v6")),
    "linux-arm-v7" => ("arm", Some("v7")),
    "linux-arm64" => ("arm64", None),
    "linux-loong64" => ("loong64", None),
    "linux-mips64le" => ("mips64le", None),
    "linux-ppc64le" => ("ppc64le", None),
    "linux-riscv64" => ("riscv64", None),
    "linux-s390x" => ("s390x", None),
};
