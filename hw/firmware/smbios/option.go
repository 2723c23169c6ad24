package smbios

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

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
	switch n {
	case typeBIOS, typeSystem, typeBaseboard, typeChassis, typeProcessor, typeOEM:
	default:
		return fmt.Errorf("Don't know how to build fields for SMBIOS type %d", n)
	}
	for _, p := range pairs {
		if p[0] == "type" {
			continue
		}
		if err := s.field(byte(n), p[0], p[1]); err != nil {
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
	switch name {
	case "value":
	case "path":
		data, err := os.ReadFile(value)
		if err != nil {
			return fmt.Errorf("Could not open '%s': %s", value, strerror.Of(err))
		}
		if bytes.IndexByte(data, 0) >= 0 {
			return fmt.Errorf("NUL in OEM strings value in %s", value)
		}
		value = string(data)
	default:
		return fmt.Errorf("Invalid parameter '%s'", name)
	}
	s.OEM = append(s.OEM, value)
	return nil
}

// field sets a field by its name in the option.
func (s *System) field(kind byte, name, value string) error {
	if kind == typeOEM {
		return s.oemString(name, value)
	}
	if kind == typeBaseboard && s.Baseboard == nil {
		s.Baseboard = &Product{Manufacturer: s.System.Manufacturer, Product: s.System.Product, Version: s.System.Version}
	}
	var fields map[string]*string
	switch kind {
	case typeBIOS:
		fields = map[string]*string{"vendor": &s.BIOS.Vendor, "version": &s.BIOS.Version, "date": &s.BIOS.Date}
	case typeSystem:
		fields = product(&s.System)
		fields["sku"], fields["family"] = &s.SKU, &s.Family
	case typeBaseboard:
		fields = product(s.Baseboard)
	case typeChassis:
		fields = product(&s.Chassis)
	case typeProcessor:
		fields = map[string]*string{"manufacturer": &s.CPU.Manufacturer, "version": &s.CPU.Version}
	}
	f := fields[name]
	if f == nil {
		return fmt.Errorf("Invalid parameter '%s'", name)
	}
	*f = value
	return nil
}

func product(p *Product) map[string]*string {
	return map[string]*string{"manufacturer": &p.Manufacturer, "product": &p.Product, "version": &p.Version, "serial": &p.Serial, "asset": &p.Asset}
}
