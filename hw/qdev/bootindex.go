package qdev

import "strconv"

// BootIndex is the place of the device in a firmware's boot order; a kernel that is booted directly does not ask. The zero value of a device
// that was not given one is told apart by Set.
type BootIndex struct {
	N   int32
	Set bool
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *BootIndex) UnmarshalText(text []byte) error {
	v, err := strconv.ParseInt(string(text), 0, 32)
	*b = BootIndex{int32(v), err == nil && v >= 0}
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (b BootIndex) MarshalText() ([]byte, error) {
	if !b.Set {
		return []byte("-1"), nil
	}
	return strconv.AppendInt(nil, int64(b.N), 10), nil
}

// PropertyType implements qdev.TypeNamer.
func (BootIndex) PropertyType() string { return "int32" }

// HideDefault keeps the default out of help texts.
func (BootIndex) HideDefault() {}
