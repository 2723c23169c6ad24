package main

import (
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/fwcfg"
	"goemu/hw/pc"
	"goemu/internal/config"
)

// fwcfgItems reads -fw_cfg.
func fwcfgItems(list []config.Options) (items []pc.FWCfgItem, err error) {
	for _, o := range list {
		name, _ := o.Get("name")
		file, _ := o.Get("file")
		text, _ := o.Get("string")
		it, err := fwcfg.Load(name, file, text)
		if err != nil {
			return nil, at(o.Origin, err)
		}
		if it.Warning != "" {
			complain(o.Origin + ": " + it.Warning)
		}
		items = append(items, pc.FWCfgItem{Name: it.Name, Data: it.Data})
	}
	return items, nil
}

// textPairs are an option's names and values.
func textPairs(o config.Options) (pairs [][2]string) {
	for _, p := range o.Pairs {
		v, _ := p.Value.(string)
		pairs = append(pairs, [2]string{p.Key, v})
	}
	return pairs
}

// smbiosFields reads -smbios.
func smbiosFields(list []config.Options) (out []pc.FirmwareOption) {
	for _, o := range list {
		out = append(out, pc.FirmwareOption{Origin: o.Origin, Members: textPairs(o)})
	}
	return out
}

// acpiTables reads -acpitable.
func acpiTables(list []config.Options) (tables [][]byte, err error) {
	for _, o := range list {
		t, warnings, err := acpi.UserTable(textPairs(o))
		if err != nil {
			return nil, at(o.Origin, err)
		}
		for _, w := range warnings {
			warnAt(o.Origin, w)
		}
		tables = append(tables, t)
	}
	return tables, nil
}
