//! The Gregorian calendar, in UTC: dates as people write them, and days since 1970.

/// `2026-01-01 00:00:00` (`T` for the blank and `Z` at the end may be written), in seconds since 1970, UTC.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T'])?;
    let numbers = |text: &str, between: char, widths: [usize; 3]| -> Option<[i64; 3]> {
        let parts: Vec<&str> = text.split(between).collect();
        let [a, b, c] = parts.as_slice() else { return None };
        let number = |part: &str, width: usize| {
            (part.len() == width && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i64>().ok())?
        };
        Some([number(a, widths[0])?, number(b, widths[1])?, number(c, widths[2])?])
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, years beginning in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
#[must_use]
pub fn date(day: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01, in eras of 400 years: leap days stand at the end of their year.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::{date, seconds};

    #[test]
    fn every_day_has_its_date() {
        for day in 0..200_000 {
            let (year, month, of_month) = date(day);
            let text = format!("{year:04}-{month:02}-{of_month:02} 00:00:00");
            assert_eq!(seconds(&text), Some(day as i64 * 86_400), "{text}");
        }
    }

    #[test]
    fn days_are_counted_as_calendars_do() {
        assert_eq!(seconds("1970-01-01 00:00:00"), Some(0));
        assert_eq!(seconds("2026-01-01 00:00:00"), Some(1_767_225_600));
        assert_eq!(seconds("2024-02-29T23:59:59Z"), Some(1_709_251_199));
        assert_eq!(seconds("2000-03-01 00:00:00"), Some(951_868_800));
        for bad in
            ["2026-02-29 00:00:00", "2026-13-01 00:00:00", "2026-01-01", "26-01-01 00:00:00", "1969-12-31 23:59:59"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
