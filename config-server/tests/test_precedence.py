"""The order of files, by the rules of Spring's reference."""

from config_server.precedence import profile_files, search_locations, shared_files


def _without_extension(paths: list[str]) -> list[str]:
    return [path.removesuffix(".yml") for path in paths if path.endswith(".yml")]


class TestSharedFiles:
    def test_the_own_name_is_stronger_than_application_and_the_location_is_stronger_than_the_name(self) -> None:
        files = shared_files(["", "shared/"], ["a", "b"])

        assert _without_extension([file.path for file in files]) == [
            *("application", "a", "b"),
            *("shared/application", "shared/a", "shared/b"),
        ]

    def test_in_one_place_properties_are_stronger_than_xml_and_yml_and_yaml(self) -> None:
        files = shared_files([""], ["a"])

        assert [file.path for file in files][-4:] == ["a.yaml", "a.yml", "a.xml", "a.properties"]

    def test_a_file_that_comes_up_twice_counts_once_where_it_is_stronger(self) -> None:
        files = shared_files([""], ["a", "application", "b", "a"])

        assert _without_extension([file.path for file in files]) == ["application", "b", "a"]


class TestProfileFiles:
    def test_the_profile_is_outermost_then_the_location_then_the_name(self) -> None:
        files = profile_files(["", "shared/"], ["a"], ["dev", "prod"])

        assert _without_extension([file.path for file in files]) == [
            *("application-dev", "a-dev", "shared/application-dev", "shared/a-dev"),
            *("application-prod", "a-prod", "shared/application-prod", "shared/a-prod"),
        ]
        assert {file.profile for file in files} == {"dev", "prod"}


class TestSearchLocations:
    def test_the_root_comes_first_whatever_the_search_paths(self) -> None:
        assert search_locations([], applications=["a"], profiles=["p"], label="l") == [""]
        assert search_locations(["/", "x"], applications=["a"], profiles=["p"], label="l") == ["", "x/"]

    def test_placeholders_stand_for_each_application_and_profile(self) -> None:
        patterns = ["{application}", "{profile}/{application}", "at-{label}"]

        found = search_locations(patterns, applications=["a", "b"], profiles=["dev", "prod"], label="main")

        assert found == ["", "a/", "b/", "dev/a/", "dev/b/", "prod/a/", "prod/b/", "at-main/"]
