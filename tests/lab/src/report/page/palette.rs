//! The colours of the report, named by what they mean.

use std::fmt::Write;

use plotters::style::RGBColor;

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Arrived, kept, as promised.
    Delivered,
    /// Tried again.
    Retries,
    /// Lost, dead, broken, refused.
    Failure,
    /// The second of several kinds.
    Second,
    /// The third of several kinds.
    Third,
    /// Neutral: how much there is of something.
    Level,
    /// Text.
    Text,
    /// Secondary text.
    Muted,
    /// Grid lines.
    Grid,
    /// The background.
    Background,
}

impl Role {
    const ALL: [Self; 10] = [
        Self::Delivered,
        Self::Retries,
        Self::Failure,
        Self::Second,
        Self::Third,
        Self::Level,
        Self::Text,
        Self::Muted,
        Self::Grid,
        Self::Background,
    ];

    /// Its name in the style sheet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retries => "retries",
            Self::Failure => "failure",
            Self::Second => "second",
            Self::Third => "third",
            Self::Level => "level",
            Self::Text => "text",
            Self::Muted => "muted",
            Self::Grid => "grid",
            Self::Background => "background",
        }
    }

    /// In the light and in the dark scheme. All but the grid have a contrast of at least 4.5 to the background.
    fn shades(self) -> [u32; 2] {
        match self {
            Self::Delivered => [0x1B_66A8, 0x6F_B3F2],
            Self::Retries => [0x9A_5B00, 0xE0_A24A],
            Self::Failure => [0xB3_2440, 0xFF_7D86],
            Self::Second => [0x7A_3E9D, 0xC7_9BE8],
            Self::Third => [0x00_6F70, 0x4F_C3C0],
            Self::Level => [0x4A_535C, 0xB4_BDC6],
            Self::Text => [0x1C_2024, 0xE6_E9EC],
            Self::Muted => [0x5C_656E, 0x9F_A8B1],
            Self::Grid => [0xDB_DFE2, 0x33_3A41],
            Self::Background => [0xFF_FFFF, 0x14_171A],
        }
    }

    /// The colour that charts are drawn with. The style sheet replaces it by that of the reader's scheme.
    pub(super) fn colour(self) -> RGBColor {
        let [_, red, green, blue] = self.shades()[0].to_be_bytes();
        RGBColor(red, green, blue)
    }
}

/// The part of the style sheet that has the colours.
///
/// A chart names its colours in attributes, where they cannot depend on the reader's preference. Styles win over
/// attributes, so each is selected by its value.
pub(super) fn style() -> String {
    let mut style = format!(
        ":root{{{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}",
        variables(0),
        variables(1)
    );
    for role in Role::ALL {
        let (name, [light, _]) = (role.name(), role.shades());
        _ = write!(
            style,
            ".{name}{{--colour:var(--{name})}}\
             [stroke=\"#{light:06X}\"]{{stroke:var(--{name})}}[fill=\"#{light:06X}\"]{{fill:var(--{name})}}"
        );
    }
    style
}

fn variables(shade: usize) -> String {
    Role::ALL.iter().map(|role| format!("--{}:#{:06X};", role.name(), role.shades()[shade])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: u32) -> f64 {
        let channel = |byte: u8| match f64::from(byte) / 255.0 {
            low if low <= 0.04045 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        };
        let [_, red, green, blue] = colour.to_be_bytes();
        0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue)
    }

    #[test]
    fn text_has_enough_contrast_in_the_light_and_the_dark_scheme() {
        for (shade, paper) in Role::Background.shades().into_iter().enumerate() {
            for role in Role::ALL.into_iter().filter(|role| ![Role::Grid, Role::Background].contains(role)) {
                let (one, other) = (luminance(role.shades()[shade]), luminance(paper));
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= 4.5, "{role:?} has a contrast of {contrast:.2}");
            }
        }
    }
}
