package main

import (
	"errors"
	"fmt"

	"goemu/internal/hostmem"
	"goemu/qapi"
)

// chooseMemory finds or makes the backends of the machine's RAM.
func (s *session) chooseMemory() (err error) {
	c := s.config
	if id := c.Props.MemoryBackend; id != "" {
		b, ok := s.object(id).(*hostmem.Backend)
		switch {
		case !ok:
			return fmt.Errorf("Memory backend '%s' not found", id)
		case s.vm.MemPath != "":
			return errors.New("'-mem-path' can't be used together with'-machine memory-backend'")
		case s.vm.Memory.Size == 0:
			c.RAM = b.Size()
		case b.Size() != c.RAM:
			return errors.New("Machine memory size does not match the size of the memory backend")
		}
		c.Backend = b
	}
	if s.typ.HasSlots {
		c.MaxRAM, c.MemorySlots = s.vm.Memory.Max, int(s.vm.Memory.Slots)
	}
	if c.MemorySlots > 0 || c.MaxRAM > c.RAM { // operating systems take memory in by its node
		s.numa.need()
	}
	if c.NUMA, err = s.numa.finish(c.RAM); err != nil {
		return err
	}
	c.HMAT = s.numa.table(c.NUMA)
	byNode := s.numa.backends
	switch {
	case byNode && c.Backend != nil:
		return errors.New("'-machine memory-backend' and '-numa memdev' properties are mutually exclusive")
	case byNode || c.Backend != nil || c.RAM == 0:
		return nil
	case s.object(s.typ.RAMID) != nil:
		return fmt.Errorf("object name '%s' is reserved for the default RAM backend, it can't be used for any other purposes. Change the object's 'id' to something else", s.typ.RAMID)
	}
	return s.ownMemory()
}

// ownMemory makes the backend of a machine whose RAM no object is named for.
func (s *session) ownMemory() error {
	c := s.config
	o := qapi.NewObject("qom-type", "memory-backend-ram", "id", s.typ.RAMID, "size", c.RAM)
	if s.vm.MemPath != "" {
		o.Set("qom-type", "memory-backend-file")
		o.Set("mem-path", s.vm.MemPath)
	}
	if s.vm.MemPrealloc {
		o.Set("prealloc", true)
	}
	if err := s.host.objects.Add(o); err != nil {
		return err
	}
	b, _ := s.object(s.typ.RAMID).(*hostmem.Backend)
	c.Backend = b
	return nil
}
