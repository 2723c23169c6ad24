package main

import (
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

// smbiosFields reads -smbios.
func smbiosFields(list []config.Options) (out [][][2]string) {
	for _, o := range list {
		var pairs [][2]string
		for _, p := range o.Pairs {
			v, _ := p.Value.(string)
			pairs = append(pairs, [2]string{p.Key, v})
		}
		out = append(out, pairs)
	}
	return out
}
