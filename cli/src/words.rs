// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers in words.

use xeplace::{Gpu, GpuId, PcieLink};

/// Bytes in binary units: three digits are enough.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if unit > 0 && value < 99.95 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Bytes a second in decimal units, as links are sold.
pub fn speed(bytes_per_second: f64) -> String {
    format!("{:.1} GB/s", bytes_per_second / 1e9)
}

/// `4.0 x8`: the revision of PCI Express that has this rate, and lanes.
pub fn generation(link: &PcieLink) -> String {
    // Transfer rates of PCI Express 1.0 to 6.0.
    let rates = [(2.5, "1.0"), (5.0, "2.0"), (8.0, "3.0"), (16.0, "4.0"), (32.0, "5.0"), (64.0, "6.0")];
    match rates.iter().find(|(rate, _)| *rate == link.gigatransfers) {
        Some((_, name)) => format!("{name} x{}", link.lanes),
        None => format!("{} GT/s x{}", link.gigatransfers, link.lanes),
    }
}

/// What a card is sold as, if its name says so; else the name without its maker.
pub fn short_name(gpu: &Gpu) -> &str {
    let name = gpu.name().strip_prefix("Intel ").unwrap_or(gpu.name());
    let (chip, sold_as) = name.strip_suffix(']').and_then(|name| name.split_once(" [")).unwrap_or((name, ""));
    if sold_as.is_empty() || sold_as == "Intel Graphics" { chip } else { sold_as }
}

/// `0-3,6`: ascending numbers, runs in short.
pub fn list(gpus: &[GpuId]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    let mut numbers: Vec<u32> = gpus.iter().map(|gpu| gpu.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(",")
}

/// `gpu 3`, `gpus 0-2`.
pub fn gpus(gpus: &[GpuId]) -> String {
    let plural = if gpus.len() == 1 { "" } else { "s" };
    format!("gpu{plural} {}", list(gpus))
}

/// `gpu 3`, `each of gpus 0-2`.
pub fn each(list: &[GpuId]) -> String {
    if list.len() == 1 { gpus(list) } else { format!("each of {}", gpus(list)) }
}

/// `1 GPU`, `2 GPUs`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `A` … `Z`, `AA` …: what a group is called.
pub fn letters(place: usize) -> String {
    let letter = char::from(b'A' + (place % 26) as u8);
    match place / 26 {
        0 => letter.to_string(),
        more => letters(more - 1) + &letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_about_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (256 << 20, "256 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (12 << 30, "12.0 GiB"),
            (u64::MAX, "16384 PiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn runs_of_numbers_are_short() {
        let ids = |numbers: &[u32]| numbers.iter().map(|number| GpuId(*number)).collect::<Vec<_>>();
        assert_eq!(list(&ids(&[3, 0, 1, 2, 6, 8, 9])), "0-3,6,8-9");
        assert_eq!(gpus(&ids(&[4])), "gpu 4");
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn groups_beyond_the_alphabet_have_names_too() {
        assert_eq!([0, 25, 26, 51, 52, 701, 702].map(letters), ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}
