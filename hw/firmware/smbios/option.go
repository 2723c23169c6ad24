package smbios

import (
	"fmt"
	"strconv"
)

// Apply takes over a -smbios option: its pairs, of which one is the type of the structure that the others are fields of.
func (s *System) Apply(pairs [][2]string) error {
	kind := ""
	for _, p := range pairs {
		if p[0] == "type" {
			kind = p[1]
		}
	}
	if kind == "" {
		return fmt.Errorf("smbios: only type= options are supported")
	}
	n, err := strconv.ParseUint(kind, 0, 8)
	if err != nil {
		return fmt.Errorf("Parameter 'type' expects a number")
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

// field sets a field by its name in the option.
func (s *System) field(kind byte, name, value string) error {
	if kind == typeOEM && name == "value" {
		s.OEM = append(s.OEM, value)
		return nil
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
	default:
		return fmt.Errorf("Don't know how to build fields for SMBIOS type %d", kind)
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
