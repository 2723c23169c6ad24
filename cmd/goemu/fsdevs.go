package main

import (
	"fmt"

	"goemu/hw/virtio/p9"
	"goemu/internal/config"
	"goemu/internal/fsdev"
)

// readFSDevs reads -fsdev, for the devices that name what it describes.
func (s *session) readFSDevs() error {
	all := map[string]*fsdev.Device{}
	for _, o := range s.vm.FSDevs {
		d, err := readFSDev(o)
		if err != nil {
			return at(o.Origin, err)
		}
		if all[d.ID] != nil {
			return at(o.Origin, fmt.Errorf("Duplicate ID '%s' for fsdev", d.ID))
		}
		all[d.ID] = d
	}
	p9.FindDevice = func(id string) *fsdev.Device { return all[id] }
	p9.Block = func(reason string) error { return s.migration.AddBlocker(reason) }
	p9.Unblock = func(reason string) { s.migration.RemoveBlocker(reason) }
	return nil
}

func readFSDev(o config.Options) (*fsdev.Device, error) {
	var names []string
	for _, p := range o.Pairs {
		names = append(names, p.Key)
	}
	return fsdev.New(names, o.Get)
}
