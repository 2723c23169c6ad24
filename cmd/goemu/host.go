package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/char"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/internal/audiodev"
	"goemu/internal/chardev"
	"goemu/internal/config"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/internal/tool"
	"goemu/internal/userobj"
)

// backends are the host side of a machine: character devices, disks, objects.
type backends struct {
	chars     *chardev.Set
	serials   []*chardev.Backend
	parallels []*chardev.Backend
	shared    []*chardev.Backend // opened as "mon:…": a monitor is to be on them, too
	disks     *driver.Drives
	net       *netdev.Set
	objects   *userobj.Set
	audiodevs []string // identifiers

	defaultNet bool // nobody said anything about the network
}

// open opens everything the command line names.
func (h *backends) open(s *session) error {
	h.chars = chardev.NewSet(mainloop.Main, chardev.Hooks{Exit: s.requestQuit, Escape: s.vm.Escape, Ready: s.mon.ready, Detached: s.vm.Daemonize, Tell: complain, Print: printLine, Screen: s.screenMaker()})
	h.disks = driver.NewDrives()
	h.disks.SetUnits("ide", s.typ.DrivesPerBus())
	h.audiodevs = s.vm.Audiodevs
	disk.Blank = h.disks.Blank
	s.expectMigration()
	h.disks.Graph.Warn = warn
	h.chars.Object, h.disks.Graph.Object = s.object, s.object
	h.disks.Graph.Guests = true
	if err := addFDs(s.vm.AddFDs); err != nil {
		return err
	}
	h.objects = s.newObjects()
	if err := s.createObjects(false); err != nil {
		return err
	}
	for _, c := range s.vm.Chardevs {
		spec, err := chardev.Parse(c.Value)
		if err != nil {
			return at(c.Origin, err)
		}
		spec.Origin = c.Origin
		if _, err := h.chars.OpenOption(spec); err != nil {
			return at(c.Origin, err)
		}
	}
	if err := s.readFSDevs(); err != nil {
		return err
	}
	if err := h.openNetwork(s); err != nil {
		return err
	}
	if err := h.openSerials(s); err != nil {
		return err
	}
	if err := h.openParallels(s); err != nil {
		return err
	}
	if d := s.vm.Debugcon; d.Origin != "" {
		b, err := h.openFor("debugcon", d, "invalid character backend")
		if err != nil {
			return err
		}
		if b == nil {
			return at(d.Origin, fmt.Errorf("invalid character backend '%s'", d.Value))
		}
		h.share(b, d.Value)
	}
	if err := h.openDisks(s); err != nil {
		return err
	}
	return s.createObjects(true)
}

// openSerials opens what the serial ports are connected to.
func (h *backends) openSerials(s *session) error {
	list := s.vm.Serials
	if len(list) == 0 && !s.vm.NoDefaults && !s.namesDevice("isa-serial") {
		kind := textConsole
		switch {
		case s.vm.Nographic && s.defaultMonitor():
			kind = "mon:stdio"
		case s.vm.Nographic:
			kind = "stdio"
		}
		b, err := h.chars.OpenLegacy("", "serial0", kind)
		h.addSerial(b, kind)
		return err
	}
	for i, src := range list {
		b, err := h.openFor(fmt.Sprintf("serial%d", i), src, "could not connect serial device to character backend")
		if err != nil {
			return err
		}
		h.addSerial(b, src.Value)
	}
	return nil
}

// openParallels opens what the parallel ports are connected to.
func (h *backends) openParallels(s *session) error {
	list := s.vm.Parallels
	if len(list) == 0 && !s.vm.NoDefaults && s.typ.HasParallel && !s.namesDevice("isa-parallel") {
		kind := textConsole
		if s.vm.Nographic {
			kind = "null"
		}
		b, err := h.chars.OpenLegacy("", "parallel0", kind)
		h.parallels = []*chardev.Backend{b}
		return err
	}
	if len(list) > char.MaxISAParallel {
		return at(list[char.MaxISAParallel].Origin, errors.New("too many parallel ports"))
	}
	for i, src := range list {
		b, err := h.openFor(fmt.Sprintf("parallel%d", i), src, "could not connect parallel device to character backend")
		if err != nil {
			return err
		}
		h.parallels = append(h.parallels, b)
		h.share(b, src.Value)
	}
	return nil
}

// openFor opens what an option connects a device to; problem and the option's value say that this did not work.
func (h *backends) openFor(id string, src config.Source, problem string) (*chardev.Backend, error) {
	b, err := h.chars.OpenLegacy(src.Origin, id, src.Value)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, chardev.ErrNotFound):
		return nil, fmt.Errorf("%s: %s '%s'", src.Origin, problem, src.Value)
	}
	return nil, fmt.Errorf("%s: %w\n%s: %s: %s '%s'", src.Origin, err, progName(), src.Origin, problem, src.Value)
}

func (h *backends) addSerial(b *chardev.Backend, value string) {
	h.serials = append(h.serials, b)
	h.share(b, value)
}

// share notes that a monitor shares a character device, which "mon:" asks for.
func (h *backends) share(b *chardev.Backend, value string) {
	if b != nil && strings.HasPrefix(value, "mon:") {
		h.shared = append(h.shared, b)
	}
}

// openDisks opens nodes and drives.
func (h *backends) openDisks(s *session) error {
	defer func() { h.disks.Graph.Warn = warn }()
	for _, d := range s.vm.Blockdevs {
		h.disks.Graph.Warn = func(text string) { warnAt(d.Origin, text) }
		if err := h.disks.AddBlockdev(d.Value); err != nil {
			return at(d.Origin, withHint(err))
		}
	}
	for _, d := range s.vm.Drives {
		v := d.Value
		if s.vm.Snapshot {
			v += ",snapshot=on"
		}
		h.disks.Graph.Warn = func(text string) { warnAt(d.Origin, text) }
		if _, err := h.disks.AddDrive(v, s.typ.DriveIF); err != nil {
			return at(d.Origin, withHint(err))
		}
	}
	if s.vm.NoDefaults {
		return nil
	}
	if at := s.typ.DefaultCD; at != 0 {
		if err := h.openDefault(s, s.typ.DriveIF, at, "media=cdrom", "ide-cd", "ide-hd", "scsi-cd", "scsi-hd"); err != nil {
			return err
		}
	}
	if s.typ.HasFloppy {
		if err := h.openDefault(s, "floppy", 0, "media=disk", "isa-fdc", "floppy"); err != nil {
			return err
		}
	}
	if !s.typ.HasSD {
		return nil
	}
	return h.openDefault(s, "sd", 0, "media=disk")
}

// openDefault adds the empty drive that a machine has at a place unless the user names another one there, or adds one of some devices.
func (h *backends) openDefault(s *session, bus string, index int, media string, devices ...string) error {
	if s.namesDevice(devices...) {
		return nil
	}
	for _, d := range h.disks.List() {
		if d.IF == bus && d.Index == index {
			return nil
		}
	}
	d, err := h.disks.AddDrive(fmt.Sprintf("if=%s,index=%d,%s", bus, index, media), s.typ.DriveIF)
	if err == nil {
		d.Default = true
	}
	return err
}

// namesDevice tells whether the user adds a device of one of some types.
func (s *session) namesDevice(types ...string) bool {
	return slices.ContainsFunc(s.vm.Devices, func(o config.Options) bool {
		d, _ := o.Get("driver")
		return slices.Contains(types, fmt.Sprint(d))
	})
}

// withHint adds to the message of an error of the block layer what else it has to say.
func withHint(err error) error {
	if hint := block.HintOf(err); hint != "" {
		err = fmt.Errorf("%w\n%s", err, hint)
	}
	if who := block.WhoOf(err); who != "" && tool.TellsMore(progName()) {
		err = fmt.Errorf("%w\n%s", err, who)
	}
	return err
}

// links lets device properties name back ends.
func (h *backends) links(l *qdev.Links) {
	qdev.Link(l, h.chars.Find)
	qdev.Link(l, h.net.Peer)
	qdev.Link(l, func(id string) (*audiodev.Device, bool) { return audiodev.Find(h.audiodevs, id) })
	qdev.Link(l, func(id string) (*block.Source, bool) { return h.disks.Source(id) })
	objectLinks(h.objects, l)
}

// closeDisks closes the disks.
func (h *backends) closeDisks() {
	if h.disks != nil {
		if err := h.disks.Close(); err != nil {
			warn(err.Error())
		}
	}
}

// close closes everything but the disks.
func (h *backends) close() {
	if h.net != nil {
		h.net.Close()
	}
	if h.chars != nil {
		h.chars.Close()
	}
	if h.objects != nil {
		h.objects.Close()
	}
}
