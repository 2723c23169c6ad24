package userobj

import (
	"fmt"

	"goemu/qapi"
)

// Field makes a property of a field of an object O whose value is a T: a bool, a string, an int64 or uint64. check, which may be nil, is
// asked before the value is stored.
func Field[O Object, T any](name, typ, desc string, at func(O) *T, check func(o O, v T) error) Property {
	return Property{Name: name, Type: typ, Desc: desc, Get: func(o Object) any { return *at(o.(O)) }, Set: func(o Object, v any) error {
		x, err := Take[T](name, v)
		if err == nil && check != nil {
			err = check(o.(O), x)
		}
		if err == nil {
			*at(o.(O)) = x
		}
		return err
	}}
}

// Take gives a value from the monitor the type that a property wants.
func Take[T any](name string, v any) (x T, err error) {
	switch p := any(&x).(type) {
	case *int64:
		err = qapi.Decode("int", v, p)
	case *uint64:
		err = qapi.Decode("uint64", v, p)
	case *bool:
		err = qapi.Decode("bool", v, p)
	case *string:
		err = qapi.Decode("str", v, p)
	default:
		panic(fmt.Sprintf("BUG: property %s of type %T", name, x))
	}
	if err != nil {
		return x, fmt.Errorf("Invalid parameter type for '%s', expected: %s", name, kindOf(any(x)))
	}
	return x, nil
}

func kindOf(x any) string {
	switch x.(type) {
	case bool:
		return "boolean"
	case string:
		return "string"
	}
	return "integer"
}

// Constant is a property that cannot be changed.
func Constant(name, typ string, v any) Property {
	return Property{Name: name, Type: typ, Get: func(Object) any { return v }}
}
