package qdev

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// UUID is an identifier of 128 bits (RFC 4122), with its fields in the order of their text form; the text "auto" is a random one.
type UUID [16]byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *UUID) UnmarshalText(b []byte) error {
	if string(b) == "auto" {
		_, err := rand.Read(u[:])
		u[6], u[8] = u[6]&0xf|0x40, u[8]&0x3f|0x80
		return err
	}
	const textBytes = 36
	raw, err := hex.DecodeString(strings.ReplaceAll(string(b), "-", ""))
	if err != nil || len(raw) != len(u) || len(b) != textBytes {
		return errors.New("not a UUID")
	}
	copy(u[:], raw)
	return nil
}

// String is the text form.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// LittleEndian has the first three fields turned around, as firmware tables have them.
func (u UUID) LittleEndian() [16]byte {
	for _, f := range [...][]byte{u[:4], u[4:6], u[6:8]} {
		slices.Reverse(f)
	}
	return u
}

// PropertyType implements TypeNamer.
func (UUID) PropertyType() string { return "str" }
