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
		return config, fmt.Errorf("read the configuration: %w", flatten(err))
	}
	return config, nil
}

// Defaults gives a T as an empty environment makes it, with required settings
// left at their zero values.
func Defaults[T any]() (T, error) {
	var config T
	err := env.ParseWithOptions(&config, env.Options{Environment: map[string]string{}})
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, e := range all.Errors {
			if !errors.As(e, new(env.VarIsNotSetError)) && !errors.As(e, new(env.EmptyVarError)) {
				return config, err
			}
		}
		return config, nil
	}
	return config, err
}

// flatten puts the library's list of errors on lines of their own and names
// the variable where the library names the field.
func flatten(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	lines := make([]string, 0, len(all.Errors))
	for _, e := range all.Errors {
		lines = append(lines, e.Error())
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Table renders the settings of config, a struct, as a Markdown table of
// variable, default and meaning, in the order of the fields.
func Table(config any) string {
	var b strings.Builder
	b.WriteString("| variable | default | what it does |\n|---|---|---|\n")
	rows(&b, reflect.TypeOf(config), "")
	return b.String()
}

func rows(b *strings.Builder, t reflect.Type, prefix string) {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Type.Kind() == reflect.Struct && field.Tag.Get("env") == "" {
			rows(b, field.Type, prefix+field.Tag.Get("envPrefix"))
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" || name == "-" {
			continue
		}
		fallback := "none"
		if value := field.Tag.Get("envDefault"); value != "" {
			fallback = "`" + value + "`"
		} else if strings.Contains(options, "required") || strings.Contains(options, "notEmpty") {
			fallback = "required"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, name, fallback, field.Tag.Get("doc"))
	}
}
