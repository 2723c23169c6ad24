package wire

import (
	"fmt"
	"slices"
	"strings"

	"goemu/migration/vmstate"
)

// Config is what the stream says about the machine before anything else.
type Config struct {
	Machine      string
	Capabilities []string // that both sides must agree about
	UUID         []byte   // 16 bytes, nil unless it is to be compared
}

const (
	uuidSize    = 16
	maxName     = 256
	maxFeatures = 256
)

var configState = vmstate.Description[Config]{
	Name: "configuration", Version: 1,
	Fields: []vmstate.Field[Config]{
		vmstate.Custom("machine", 0, func(c *Config, w *vmstate.Writer) {
			w.U32(uint32(len(c.Machine)))
			w.Raw([]byte(c.Machine))
		}, func(c *Config, r *vmstate.Reader) error {
			n := r.U32()
			if n > maxName {
				return Invalid("Machine type received is too long")
			}
			c.Machine = string(r.Raw(int(n)))
			return r.Err()
		}),
	},
	Subsections: []*vmstate.Description[Config]{
		{Name: "configuration/target-page-bits", Version: 1, MinVersion: 1, Needed: func(*Config) bool { return false },
			Fields: []vmstate.Field[Config]{vmstate.Computed("target_page_bits", func(*Config) uint32 { return pageBits }, func(*Config, uint32) {})}},
		{Name: "configuration/capabilities", Version: 1, MinVersion: 1, Needed: func(c *Config) bool { return len(c.Capabilities) > 0 },
			Fields: []vmstate.Field[Config]{vmstate.Custom("capabilities", 0, saveCapabilities, loadCapabilities)}},
		{Name: "configuration/uuid", Version: 1, MinVersion: 1, Needed: func(c *Config) bool { return c.UUID != nil },
			Fields: []vmstate.Field[Config]{vmstate.Custom("uuid.data", 1, func(c *Config, w *vmstate.Writer) { w.Raw(c.UUID) },
				func(c *Config, r *vmstate.Reader) error { c.UUID = slices.Clone(r.Raw(uuidSize)); return r.Err() })}},
	},
}

const pageBits = 12

func saveCapabilities(c *Config, w *vmstate.Writer) {
	w.U32(uint32(len(c.Capabilities)))
	for _, s := range c.Capabilities {
		w.U8(uint8(len(s)))
		w.Raw([]byte(s))
	}
}

func loadCapabilities(c *Config, r *vmstate.Reader) error {
	n := r.U32()
	if n > maxFeatures {
		return Invalid("Received too many capabilities")
	}
	for range n {
		c.Capabilities = append(c.Capabilities, string(r.Raw(int(r.U8()))))
	}
	return r.Err()
}

// Header appends the beginning of a stream.
func Header(w *vmstate.Writer, c *Config) {
	w.U32(Magic)
	w.U32(Version)
	w.U8(Configuration)
	configState.Save(c, w)
}

// ReadHeader reads the beginning of a stream.
func ReadHeader(r *vmstate.Reader) (*Config, error) {
	magic, version := r.U32(), r.U32()
	switch {
	case r.Err() != nil:
		return nil, r.Err()
	case magic != Magic:
		return nil, Invalid("Not a migration stream")
	case version == 2:
		return nil, Invalid("SaveVM v2 format is obsolete and don't work anymore")
	case version != Version:
		return nil, Invalid("Unsupported migration stream version")
	case r.U8() != Configuration:
		return nil, Invalid("Configuration section missing")
	}
	c := new(Config)
	if err := configState.Load(c, r, 1); err != nil {
		return nil, err
	}
	return c, nil
}

// FormatUUID writes a UUID in its usual form.
func FormatUUID(b []byte) string {
	if len(b) != uuidSize {
		return ""
	}
	return strings.ToLower(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
