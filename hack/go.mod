module chatplatform.io/hack

go 1.26.0

require (
	chatplatform.io/svckit v0.0.0
	github.com/stretchr/testify v1.12.1
	sigs.k8s.io/yaml v1.6.0
)

require (
	github.com/caarlos0/env/v11 v11.4.2 // indirect
	go.yaml.in/yaml/v2 v2.4.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace chatplatform.io/svckit => ../svckit
