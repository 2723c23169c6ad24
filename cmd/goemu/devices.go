package main

import (
	"encoding/json"
	"fmt"
	"os"

	"goemu/block/driver"
	"goemu/hw/nvme"
	"goemu/hw/qdev"
	"goemu/hw/usb/storage"
	"goemu/internal/config"
)

// addDevices adds the NICs of -nic and -net nic, the drives that name a bus and what -device asks for.
func (s *session) addDevices() error {
	storage.Log = func(text string) { fmt.Fprintln(os.Stderr, text) }
	tree := s.machine.Tree
	tree.Warn = warn
	qdev.Link(&tree.Links, func(id string) (*nvme.Subsystem, bool) {
		s, ok := tree.Find(id).(*nvme.Subsystem)
		return s, ok
	})
	if err := s.addNICs(); err != nil {
		return err
	}
	for _, u := range s.vm.USBDevices {
		if err := s.machine.AddUSB(u.Value); err != nil {
			return at(u.Origin, err)
		}
	}
	disks := s.host.disks.List()
	for _, d := range disks {
		switch d.IF {
		case "none", "virtio", "pflash", "floppy":
		case "ide":
			if err := s.machine.AddDrive(d.Index, d.ID, d.Media == "cdrom"); err != nil {
				return fmt.Errorf("-drive %s: %w", d.Text, withHint(err))
			}
		default:
			if !d.Default {
				return unsupportedIF(d)
			}
		}
	}
	for _, o := range s.vm.Devices {
		set, err := settings(o)
		if err != nil {
			return at(o.Origin, err)
		}
		tree.Warn = func(text string) { warnAt(o.Origin, text) }
		if _, err := s.machine.AddDevice(set); err != nil {
			return at(o.Origin, withHint(err))
		}
	}
	tree.Warn = warn
	for _, d := range disks { // after the devices of the command line, as in QEMU, since it decides upon their addresses
		if d.IF != "virtio" {
			continue
		}
		set := []qdev.Setting{{Name: "driver", Value: s.typ.BlockBus}, {Name: "drive", Value: d.ID}}
		if _, err := s.machine.AddDevice(set); err != nil {
			return fmt.Errorf("-drive %s: %w", d.Text, withHint(err))
		}
	}
	return nil
}

// floppies are the drives for the floppy controller, by unit.
func (s *session) floppies() ([]string, error) {
	var list []string
	for _, d := range s.host.disks.List() {
		if d.IF != "floppy" {
			continue
		}
		if d.Index >= s.typ.Floppies {
			return nil, unsupportedIF(d)
		}
		for len(list) <= d.Index {
			list = append(list, "")
		}
		list[d.Index] = d.ID
	}
	return list, nil
}

// unsupportedIF says that the machine has no place for a drive.
func unsupportedIF(d *driver.Drive) error {
	return fmt.Errorf("machine type does not support if=%s,bus=0,unit=%d", d.IF, max(d.Index, 0))
}

// settings turns an option into property settings; members of JSON objects become text.
func settings(o config.Options) ([]qdev.Setting, error) {
	var out []qdev.Setting
	for _, p := range o.Pairs {
		v, err := qdev.Text(p.Key, p.Value)
		if err != nil {
			return nil, err
		}
		_, number := p.Value.(json.Number)
		out = append(out, qdev.Setting{Name: p.Key, Value: v, Number: number})
	}
	return out, nil
}
