"""What can go wrong with accounts and sessions, as the client reads it."""

from chassis.problems import NotAuthenticated, NotFound, Problem


class EmailTaken(Problem):
    status = 409
    code = "email-taken"
    title = "There is an account with this e-mail address"


class UsernameTaken(Problem):
    status = 409
    code = "username-taken"
    title = "There is an account with this name"


class LoginRefused(NotAuthenticated):
    code = "login-refused"
    title = "The e-mail address and the password don't belong together"


class TooManyFailures(Problem):
    status = 429
    code = "too-many-failures"
    title = "Too many failed log-ins"


class RefreshRefused(NotAuthenticated):
    code = "refresh-refused"
    title = "The refresh token can't be used"


class WrongPassword(Problem):
    status = 403
    code = "wrong-password"
    title = "The current password is another one"


class UserNotFound(NotFound):
    code = "user-not-found"
    title = "There is no such user"


class SessionNotFound(NotFound):
    code = "session-not-found"
    title = "There is no such session"


class LastAdmin(Problem):
    status = 409
    code = "last-admin"
    title = "Somebody has to stay admin"
