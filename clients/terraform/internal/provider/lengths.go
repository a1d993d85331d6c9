package provider

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

const (
	day = 24 * time.Hour
	// No server takes a longer one.
	longestLength = 36_525 * day
)

var lengthUnits = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': day, 'w': 7 * day, 'y': 365 * day}

// length reads one as a server does: a whole number and its unit, such as `12h`, `90d` or `1y`; or `0`.
func length(text string) (time.Duration, bool) {
	if text == "0" {
		return 0, true
	}
	if text == "" {
		return 0, false
	}
	unit, known := lengthUnits[text[len(text)-1]]
	// A sign is no part of one.
	number, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if !known || err != nil || number > uint64(longestLength/unit) {
		return 0, false
	}
	return time.Duration(number) * unit, true
}

// life reads how long something lives: as a server does, or as Go does, such as `1h30m`.
func life(text string) (time.Duration, bool) {
	if read, ok := length(text); ok {
		return read, true
	}
	read, err := time.ParseDuration(text)
	return read, err == nil
}

// sameLength says whether two texts are the same length, as `7d` and `1w` are.
func sameLength(one, other string) bool {
	a, read := life(one)
	b, also := life(other)
	return read && also && a == b
}

// sameLife says the same of attributes; two that are not said are the same.
func sameLife(one, other types.String) bool {
	return one.Equal(other) || !one.IsNull() && !other.IsNull() && sameLength(one.ValueString(), other.ValueString())
}

// checkLength says so where a text of the configuration is no length.
func checkLength(at path.Path, text types.String, diagnostics *diag.Diagnostics) {
	if text.IsNull() || text.IsUnknown() {
		return
	}
	if _, ok := length(text.ValueString()); !ok {
		diagnostics.AddAttributeError(at, "This is no length of time", "Write it as 12h, 90d or 1y: a whole number and its unit.")
	}
}

// inWords is a length as a person says it, not longer than it is.
func inWords(length time.Duration) string {
	for _, it := range []struct {
		from, unit time.Duration
		word       string
	}{{2 * day, day, "days"}, {2 * time.Hour, time.Hour, "h"}, {time.Minute, time.Minute, "min"}} {
		if length >= it.from {
			return fmt.Sprintf("%d %s", length/it.unit, it.word)
		}
	}
	return "less than a minute"
}

// listed joins what is not empty.
func listed(parts ...string) string {
	var said []string
	for _, it := range parts {
		if it != "" {
			said = append(said, it)
		}
	}
	return strings.Join(said, ", ")
}
