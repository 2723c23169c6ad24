package tool

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// sizeUnits are the suffixes of sizes, as powers of 1024.
const sizeUnits = "bkmgtpe"

// ParseSize reads a number of bytes with an optional unit. A fraction needs a unit. The error is ERANGE for a number that does not fit
// and EINVAL otherwise.
func ParseSize(s string) (uint64, error) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	s = strings.TrimPrefix(s, "+")
	base, digits := 10, "0123456789"
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		s, base, digits = s[2:], 16, "0123456789abcdefABCDEF"
	}
	rest := strings.TrimLeft(s, digits)
	whole := s[:len(s)-len(rest)]
	if whole == "" {
		return 0, unix.EINVAL
	}
	n, err := strconv.ParseUint(whole, base, 64)
	tooLarge := errors.Is(err, strconv.ErrRange)
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		if base == 16 {
			return 0, unix.EINVAL
		}
		after := strings.TrimLeft(rest[1:], digits)
		fraction, rest = rest[1:len(rest)-len(after)], after
	}
	shift := uint(0)
	if rest != "" {
		i := strings.IndexByte(sizeUnits, rest[0]|0x20)
		if i < 0 || len(rest) > 1 {
			return 0, unix.EINVAL
		}
		shift = 10 * uint(i)
	}
	if tooLarge {
		return 0, unix.ERANGE
	}
	return scale(n, fraction, shift)
}

// scale computes (n + 0.fraction) << shift, rounded to the nearest.
func scale(n uint64, fraction string, shift uint) (uint64, error) {
	v := new(big.Int).Lsh(new(big.Int).SetUint64(n), shift)
	if strings.Trim(fraction, "0") != "" {
		if shift == 0 {
			return 0, unix.EINVAL
		}
		f, _ := new(big.Rat).SetString("0." + fraction)
		f.Mul(f, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), shift)))
		f.Add(f, big.NewRat(1, 2))
		v.Add(v, new(big.Int).Quo(f.Num(), f.Denom()))
	}
	if !v.IsUint64() {
		return 0, unix.ERANGE
	}
	return v.Uint64(), nil
}

// ParseSizeOption reads the size that an option has.
func ParseSizeOption(name, text string) (uint64, error) {
	switch n, err := ParseSize(text); err {
	case nil:
		return n, nil
	case unix.ERANGE:
		return 0, block.Errorf(unix.ERANGE, "Value '%s' is out of range for parameter '%s'", text, name)
	default:
		return 0, &block.Error{Errno: unix.EINVAL, Text: "Parameter '" + name + "' expects a non-negative number below 2^64",
			Hint: "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."}
	}
}

// Size reads a size on the command line; ok is false after a message.
func (t *Tool) Size(what, text string) (n int64, ok bool) {
	return t.SizeBetween(what, text, 0, math.MaxInt64)
}

// SizeBetween is Size with limits.
func (t *Tool) SizeBetween(what, text string, least, most int64) (n int64, ok bool) {
	v, err := ParseSize(text)
	if err != nil && err != unix.ERANGE {
		t.Errorf("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what)
		t.Errorf("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.")
		return 0, false
	}
	if err != nil || v > uint64(most) || int64(v) < least {
		t.Errorf("Invalid %s specified. Must be between %d and %d.", what, least, most)
		return 0, false
	}
	return int64(v), true
}

// ParseLong reads a number as C's strtol with base 0 does, all of the text.
func ParseLong(s string) (int64, error) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if strings.Contains(s, "_") || strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, "+-")), "0b") || strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, "+-")), "0o") {
		return 0, unix.EINVAL
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return n, unix.ERANGE
		}
		return 0, unix.EINVAL
	}
	return n, nil
}

// SizeText writes a size with three significant digits and a unit.
func SizeText(n uint64) string {
	units := [...]string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	_, e := math.Frexp(float64(n) / (1000.0 / 1024.0))
	i := max(0, (e-1)/10)
	return strings.TrimLeft(fmtG3(float64(n)/float64(uint64(1)<<(10*i))), " ") + " " + units[i] + "B"
}

// fmtG3 is C's "%0.3g".
func fmtG3(f float64) string {
	s := strconv.FormatFloat(f, 'g', 3, 64)
	if mant, exp, ok := strings.Cut(s, "e"); ok {
		// C uses the exponent only from 10^3 on, as Go does, but pads it in the same way.
		return mant + "e" + exp
	}
	return s
}
