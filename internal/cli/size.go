package cli

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

const sizeHint = "\nOptional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."

// ParseSize reads a size with an optional fraction and suffix; a bare number counts in units of bytes.
func ParseSize(param, s string, unit uint64) (uint64, error) {
	bad := fmt.Errorf("Parameter '%s' expects a non-negative number below 2^64%s", param, sizeHint)
	digits, mul := s, unit
	if n := len(s); n > 0 {
		if i := strings.IndexByte("bkmgtpe", s[n-1]|0x20); i >= 0 && !strings.HasPrefix(s, "0x") {
			digits, mul = s[:n-1], 1<<(10*i)
		}
	}
	if n, err := strconv.ParseUint(digits, 0, 64); err == nil {
		if n > math.MaxUint64/mul {
			return 0, fmt.Errorf("Value '%s' is out of range for parameter '%s'", s, param)
		}
		return n * mul, nil
	}
	f, ok := new(big.Rat).SetString(digits)
	if !ok || f.Sign() < 0 || strings.ContainsAny(digits, "eE/+-_") {
		return 0, bad
	}
	f.Mul(f, new(big.Rat).SetFrac(new(big.Int).SetUint64(mul), big.NewInt(1)))
	q := new(big.Int).Quo(f.Num(), f.Denom())
	if !q.IsUint64() {
		return 0, fmt.Errorf("Value '%s' is out of range for parameter '%s'", s, param)
	}
	return q.Uint64(), nil
}

// parseNumber reads an unsigned number.
func parseNumber(param, s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("Parameter '%s' expects a number", param)
	}
	return n, nil
}

// parseBool reads on/off.
func parseBool(param, s string) (bool, error) {
	switch s {
	case "on", "yes", "true", "y":
		return true, nil
	case "off", "no", "false", "n":
		return false, nil
	}
	return false, fmt.Errorf("Parameter '%s' expects 'on' or 'off'", param)
}
