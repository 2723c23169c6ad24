package smbios

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"goemu/internal/strerror"
)

// Apply takes over a -smbios option: its pairs, of which one is the type of the structure that the others are fields of.
func (s *System) Apply(pairs [][2]string) error {
	kind := ""
	for _, p := range pairs {
		switch p[0] {
		case "type":
			kind = p[1]
		case "file":
			return s.load(pairs)
		}
	}
	if kind == "" {
		return fmt.Errorf("Must specify type= or file=")
	}
	n, err := strconv.ParseUint(kind, 0, 64)
	if err != nil {
		return fmt.Errorf("Parameter 'type' expects a number")
	}
	fields, ok := s.fields(n)
	if !ok {
		return fmt.Errorf("Don't know how to build fields for SMBIOS type %d", n)
	}
	for _, p := range pairs {
		if p[0] == "type" {
			continue
		}
		set := fields[p[0]]
		if set == nil {
			return fmt.Errorf("Invalid parameter '%s'", p[0])
		}
		if err := set(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// load adds the structure in a file, which is all that an option with one says.
func (s *System) load(pairs [][2]string) error {
	for _, p := range pairs {
		if p[0] != "file" {
			return fmt.Errorf("Invalid parameter '%s'", p[0])
		}
	}
	name := pairs[len(pairs)-1][1]
	data, err := os.ReadFile(name)
	if err != nil || len(data) < structHeader {
		return fmt.Errorf("Cannot read SMBIOS file %s", name)
	}
	s.Loaded = append(s.Loaded, data)
	return nil
}

// structHeader is the size of what begins each structure: type, length, handle (DSP0134 6.1.2).
const structHeader = 4

// oemString adds one of the strings of type 11, which may be what a file has.
func (s *System) oemString(name, value string) error {
	if name == "path" {
		data, err := os.ReadFile(value)
		if err != nil {
			return fmt.Errorf("Could not open '%s': %s", value, strerror.Of(err))
		}
		if bytes.IndexByte(data, 0) >= 0 {
			return fmt.Errorf("NUL in OEM strings value in %s", value)
		}
		value = string(data)
	}
	s.OEM = append(s.OEM, value)
	return nil
}

// setter sets a field of a structure, which has a name in the option.
type setter func(name, value string) error

func text(p *string) setter {
	return func(_, v string) error {
		*p = v
		return nil
	}
}

// number sets a field of one or two bytes, of which larger numbers lose the upper bits.
func number[T uint8 | uint16 | uint64](p *T) setter {
	return func(name, v string) error {
		n, err := strconv.ParseUint(v, 0, 64)
		if err != nil {
			return fmt.Errorf("Parameter '%s' expects a number", name)
		}
		*p = T(n)
		return nil
	}
}

func speed(p *uint16) setter {
	return func(name, v string) error {
		n := uint64(0)
		if err := number(&n)(name, v); err != nil {
			return err
		}
		if n > 0xffff {
			return fmt.Errorf("SMBIOS CPU speed is too large (> %d)", 0xffff)
		}
		*p = uint16(n)
		return nil
	}
}

// release reads MAJOR.MINOR.
func (b *BIOS) release(_, v string) error {
	if n, _ := fmt.Sscanf(v, "%d.%d", &b.Major, &b.Minor); n != 2 {
		return fmt.Errorf("Invalid release")
	}
	return nil
}

func boolean(p *bool) setter {
	return func(name, v string) error {
		if *p = v == "on"; v != "on" && v != "off" {
			return fmt.Errorf("Parameter '%s' expects 'on' or 'off'", name)
		}
		return nil
	}
}

// uuid reads the text form.
func (s *System) uuid(_, v string) error {
	b, err := hex.DecodeString(strings.ReplaceAll(v, "-", ""))
	if err != nil || len(b) != len(s.UUID) || len(v) != 36 {
		return fmt.Errorf("Invalid UUID")
	}
	copy(s.UUID[:], b)
	return nil
}

// onboardKinds are the names of kinds of devices on the board, in the order of their numbers, which begin with 1.
var onboardKinds = []string{"other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound", "pata", "sata", "sas"}

func (d *Onboard) kind(_, v string) error {
	i := slices.Index(onboardKinds, v)
	if i < 0 {
		return fmt.Errorf("invalid parameter value: %s", v)
	}
	d.Kind = uint8(i + 1)
	return nil
}

// fields are the fields of a type that an option can set; ok is false for a type that has none. Of some types each option is a structure.
func (s *System) fields(kind uint64) (fields map[string]setter, ok bool) {
	product := func(p *Product) map[string]setter {
		return map[string]setter{"manufacturer": text(&p.Manufacturer), "version": text(&p.Version), "serial": text(&p.Serial)}
	}
	switch kind {
	case typeBIOS:
		b := &s.BIOS
		if !s.HasBIOS {
			*b, s.HasBIOS = BIOS{}, true
		}
		return map[string]setter{"vendor": text(&b.Vendor), "version": text(&b.Version), "date": text(&b.Date), "release": b.release, "uefi": boolean(&b.UEFI)}, true
	case typeSystem:
		fields = product(&s.System)
		fields["product"], fields["sku"], fields["family"], fields["uuid"] = text(&s.System.Product), text(&s.SKU), text(&s.Family), s.uuid
	case typeBaseboard:
		if s.Baseboard == nil {
			s.Baseboard = &Product{Manufacturer: s.Maker.Manufacturer, Product: s.Maker.Product, Version: s.Maker.Version}
		}
		fields = product(s.Baseboard)
		fields["product"], fields["asset"], fields["location"] = text(&s.Baseboard.Product), text(&s.Baseboard.Asset), text(&s.Baseboard.Location)
	case typeChassis:
		fields = product(&s.Chassis)
		fields["asset"], fields["sku"] = text(&s.Chassis.Asset), text(&s.Chassis.SKU)
	case typeProcessor:
		c := &s.CPU
		return map[string]setter{"sock_pfx": text(&c.Prefix), "manufacturer": text(&c.Manufacturer), "version": text(&c.Version), "serial": text(&c.Serial),
			"asset": text(&c.Asset), "part": text(&c.Part), "max-speed": speed(&c.MaxSpeed), "current-speed": speed(&c.Speed), "processor-id": c.id}, true
	case typePort:
		s.Ports = append(s.Ports, Port{})
		p := &s.Ports[len(s.Ports)-1]
		return map[string]setter{"internal_reference": text(&p.Internal), "external_reference": text(&p.External), "connector_type": number(&p.Connector), "port_type": number(&p.Type)}, true
	case typeOEM:
		return map[string]setter{"value": s.oemString, "path": s.oemString}, true
	case typeMemoryDevice:
		m := &s.Module
		return map[string]setter{"loc_pfx": text(&m.Prefix), "bank": text(&m.Bank), "manufacturer": text(&m.Manufacturer), "serial": text(&m.Serial),
			"asset": text(&m.Asset), "part": text(&m.Part), "speed": number(&m.Speed)}, true
	case typeOnboard:
		s.Onboard = append(s.Onboard, Onboard{Kind: 1, Instance: 1})
		d := &s.Onboard[len(s.Onboard)-1]
		return map[string]setter{"designation": text(&d.Designation), "kind": d.kind, "instance": number(&d.Instance), "pcidev": text(&d.PCI)}, true
	}
	return fields, fields != nil
}

// id sets the identification; zero is the CPU's own.
func (c *Processor) id(name, v string) error {
	n := uint64(0)
	err := number(&n)(name, v)
	if n != 0 {
		c.ID = n
	}
	return err
}
