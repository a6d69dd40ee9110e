// Package settings reads a service's configuration from its environment.
//
// A configuration is a struct whose fields carry the tags of caarlos0/env
// (`env`, `envDefault`) and a `doc` tag that says what the setting does. The
// same struct makes the table in the service's README, so the two agree.
package settings

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Load fills a T from environ, which has the form of os.Environ. Every
// variable that is missing or malformed is named in the one error returned.
func Load[T any](environ []string) (T, error) {
	var config T
	err := env.ParseWithOptions(&config, env.Options{Environment: env.ToMap(environ)})
	if err != nil {
		return config, fmt.Errorf("read the configuration: %w", flatten(err, variables(reflect.TypeFor[T](), "")))
	}
	return config, nil
}

// flatten puts the library's list of errors on lines of their own and names
// the variable where the library names the field. A malformed value is not
// shown: it may be a secret in the wrong place.
func flatten(err error, names map[field]string) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	lines := make([]string, 0, len(all.Errors))
	for _, e := range all.Errors {
		var malformed env.ParseError
		if errors.As(e, &malformed) {
			lines = append(lines, names[field{malformed.Name, malformed.Type}]+": cannot be read as "+malformed.Type.String())
			continue
		}
		lines = append(lines, e.Error())
	}
	return errors.New(strings.Join(lines, "\n"))
}

// A field is what the library says of one in an error.
type field struct {
	name string
	kind reflect.Type
}

// variables names the variable, or the variables, that each field is read from.
func variables(t reflect.Type, prefix string) map[field]string {
	names := map[field]string{}
	for _, v := range leaves(t, prefix) {
		f := field{v.field.Name, v.field.Type}
		if names[f] != "" {
			names[f] += " or "
		}
		names[f] += v.name
	}
	return names
}

// A leaf is a field that is read from a variable.
type leaf struct {
	name  string // of the variable
	field reflect.StructField
}

// leaves lists those of a struct and the structs in it, in order.
func leaves(t reflect.Type, prefix string) []leaf {
	var found []leaf
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		switch {
		case field.Type.Kind() == reflect.Struct && name == "":
			found = append(found, leaves(field.Type, prefix+field.Tag.Get("envPrefix"))...)
		case name != "" && name != "-":
			found = append(found, leaf{prefix + name, field})
		}
	}
	return found
}

// Table renders the settings of config, a struct, as a Markdown table of
// variable, default and meaning, in the order of the fields.
func Table(config any) string {
	var b strings.Builder
	b.WriteString("| variable | default | what it does |\n|---|---|---|\n")
	for _, v := range leaves(reflect.TypeOf(config), "") {
		_, options, _ := strings.Cut(v.field.Tag.Get("env"), ",")
		fallback := "none"
		if value := v.field.Tag.Get("envDefault"); value != "" {
			fallback = "`" + value + "`"
		} else if strings.Contains(options, "required") || strings.Contains(options, "notEmpty") {
			fallback = "required"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, fallback, v.field.Tag.Get("doc"))
	}
	return b.String()
}
