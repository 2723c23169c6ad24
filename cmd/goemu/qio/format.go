package qio

import (
	"fmt"
	"math"
	"strings"
	"time"

	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

func parseNumber(text string) (int64, error) {
	n, err := tool.ParseSize(text)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64 {
		return 0, unix.ERANGE
	}
	return int64(n), nil
}

// parsePattern reads a byte.
func (s *session) parsePattern(text string) (byte, error) {
	n, err := tool.ParseLong(text)
	if err != nil || n < 0 || n > math.MaxUint8 {
		s.Printf("%s is not a valid pattern byte\n", text)
		return 0, errCommand
	}
	return byte(n), nil
}

var units = []struct {
	name  string
	shift uint
}{{" EiB", 60}, {" PiB", 50}, {" TiB", 40}, {" GiB", 30}, {" MiB", 20}, {" KiB", 10}}

// amount writes a number of bytes for people.
func amount(v float64) string {
	for _, u := range units {
		if unit := float64(uint64(1) << u.shift); v >= unit {
			return trim(fmt.Sprintf("%.3f", v/unit), u.name)
		}
	}
	return trim(fmt.Sprintf("%f", v), " bytes")
}

// trim replaces a fraction that begins with three zeroes by the unit.
func trim(number, unit string) string {
	if i := strings.Index(number, ".000"); i >= 0 {
		return number[:i] + unit
	}
	return number + unit
}

// duration writes how long something took.
func duration(d time.Duration, fixed bool) string {
	seconds := int64(d / time.Second)
	fraction := d - time.Duration(seconds)*time.Second
	if fixed || seconds != 0 {
		return fmt.Sprintf("%d:%02d:%05.2f", seconds/3600, seconds/60%60, float64(seconds%60)+fraction.Seconds())
	}
	return fmt.Sprintf("%05.2f sec", fraction.Seconds())
}

// report says what was done and how fast.
func (s *session) report(op string, took time.Duration, off, count, total int64, ops int, machine bool) {
	perSecond := func(v float64) float64 { return v / took.Seconds() }
	if machine {
		s.Printf("%d,%d,%s,%.3f,%.3f\n", total, ops, duration(took, true), perSecond(float64(total)), perSecond(float64(ops)))
		return
	}
	s.Printf("%s %d/%d bytes at offset %d\n", op, total, count, off)
	s.Printf("%s, %d ops; %s (%s/sec and %.4f ops/sec)\n", amount(float64(total)), ops, duration(took, false), amount(perSecond(float64(total))), perSecond(float64(ops)))
}

// dump prints a buffer.
func (s *session) dump(b []byte, off int64) {
	for i := 0; i < len(b); i += 16 {
		row := b[i:min(i+16, len(b))]
		s.Printf("%08x:  ", off+int64(i))
		for _, c := range row {
			s.Printf("%02x ", c)
		}
		s.Printf(" ")
		for _, c := range row {
			if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' {
				s.Printf("%c", c)
			} else {
				s.Printf(".")
			}
		}
		s.Printf("\n")
	}
}
