package acpi

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"goemu/internal/strerror"
)

// userFields are the members of -acpitable that set a field of the header (ACPI 5.2.6): its place, its size, and whether it is a number.
var userFields = map[string]struct {
	at, size int
	number   bool
}{
	"sig": {0, 4, false}, "rev": {8, 1, true}, "oem_id": {10, 6, false}, "oem_table_id": {16, 8, false}, "oem_rev": {24, 4, true},
	"asl_compiler_id": {28, 4, false}, "asl_compiler_rev": {32, 4, true},
}

// userHeader is the header of a table that was given without one.
const userHeader = "QEMU\x00\x00\x00\x00\x01\x00QEMUQEQEMUQEMU\x01\x00\x00\x00QEMU\x01\x00\x00\x00"

// UserTable makes the table that a -acpitable option describes by its members, name and value: files that have a header (file) or are what
// follows it (data), with several names put together by colons, and fields of the header. Warnings are for the user.
func UserTable(members [][2]string) (table []byte, warnings []string, err error) {
	var file, data *string
	fields := map[string]string{}
	for _, m := range members {
		switch name := m[0]; {
		case name == "file":
			file = &m[1]
		case name == "data":
			data = &m[1]
		case userFields[name].size == 0:
			return nil, nil, fmt.Errorf("Invalid parameter '%s'", name)
		default:
			fields[name] = m[1]
		}
	}
	names := file
	switch {
	case (file == nil) == (data == nil):
		return nil, nil, fmt.Errorf("'-acpitable' requires one of 'data' or 'file'")
	case file == nil:
		names, table = data, []byte(userHeader)
	}
	for _, name := range strings.Split(*names, ":") {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("can't open file %s: %s", name, strerror.Of(err))
		}
		table = append(table, b...)
	}
	if len(table) < headerSize {
		return nil, nil, fmt.Errorf("ACPI table claiming to have header is too short, available: %d, expected: %d", len(table), headerSize)
	}
	if len(table) > math.MaxUint16 {
		return nil, nil, fmt.Errorf("ACPI table too big, requested: %d, max: %d", len(table), math.MaxUint16)
	}
	for name, value := range fields {
		if err := setUserField(table, name, value); err != nil {
			return nil, nil, err
		}
	}
	if length := binary.LittleEndian.Uint32(table[headerLength:]); file != nil && length != uint32(len(table)) {
		warnings = append(warnings, fmt.Sprintf("ACPI table has wrong length, header says %d, actual size %d bytes", length, len(table)))
	}
	if file == nil && len(fields) == 0 {
		warnings = append(warnings, "ACPI table: no headers are specified")
	}
	binary.LittleEndian.PutUint32(table[headerLength:], uint32(len(table)))
	setChecksum(table, headerChecksum)
	return table, warnings, nil
}

func setUserField(table []byte, name, value string) error {
	f := userFields[name]
	field := table[f.at : f.at+f.size]
	clear(field)
	if !f.number {
		copy(field, value)
		return nil
	}
	n, err := strconv.ParseUint(value, 0, 8*f.size)
	if err != nil {
		return fmt.Errorf("Parameter '%s' expects uint%d", name, 8*f.size)
	}
	for i := range field {
		field[i] = byte(n >> (8 * i))
	}
	return nil
}

// slicOEM gives the identification of the manufacturer in a user's SLIC table, by which some systems find out whether they are licensed: the
// tables that name the manufacturer must agree with it.
func (m *Machine) slicOEM(table []byte) []byte {
	for _, t := range m.User {
		if string(t[:4]) == "SLIC" {
			copy(table[10:24], t[10:24])
			setChecksum(table, headerChecksum)
			break
		}
	}
	return table
}
