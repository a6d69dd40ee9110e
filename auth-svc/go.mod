module chatplatform.io/auth-svc

go 1.26.0

require (
	chatplatform.io/auth-svc/accounts v0.0.0
	chatplatform.io/svckit v0.0.0
)

replace chatplatform.io/svckit => ../svckit

replace chatplatform.io/auth-svc/accounts => ./accounts
