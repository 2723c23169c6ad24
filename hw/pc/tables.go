package pc

import "goemu/hw/firmware/loader"

func (m *Machine) firmwareTables() ([]loader.Segment, uint64, error) { return nil, 0, nil }
